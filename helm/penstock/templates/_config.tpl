{{/* settings and models as one penstock.toml. JSON's strings are TOML's, but for one character. */}}

{{- define "penstock.tomlText" -}}
{{- toJson . | replace "\x7f" "\\u007f" -}}
{{- end -}}

{{- define "penstock.tomlValue" -}}
{{- if kindIs "string" . -}}
{{- include "penstock.tomlText" . -}}
{{- else if kindIs "bool" . -}}
{{- . -}}
{{- else if kindIs "slice" . -}}
{{- $items := list -}}
{{- range . }}{{ $items = append $items (include "penstock.tomlValue" .) }}{{ end -}}
[{{ join ", " $items }}]
{{- else if and (kindIs "float64" .) (eq . (floor .)) -}}
{{- /* Helm reads every number as a float, and would write 268435456 as 2.68435456e+08 */ -}}
{{- printf "%.0f" . -}}
{{- else -}}
{{- toJson . -}}
{{- end -}}
{{- end -}}

{{- define "penstock.toml" -}}
{{- range $name, $value := .Values.settings }}
{{- if not (kindIs "invalid" $value) }}
{{ $name }} = {{ include "penstock.tomlValue" $value }}
{{- end }}
{{- end }}
{{- range $model, $own := .Values.models }}

[models.{{ include "penstock.tomlText" $model }}]
{{- range $name, $value := $own }}
{{- if not (kindIs "invalid" $value) }}
{{ $name }} = {{ include "penstock.tomlValue" $value }}
{{- end }}
{{- end }}
{{- end }}
{{ end -}}

{{/* Where metrics and probes are answered: the name of the container's port, and its number. */}}
{{- define "penstock.adminPortName" -}}
{{- ternary "http" "admin" (kindIs "invalid" .Values.settings.admin_port) -}}
{{- end -}}

{{/* (list secret key variable) -> an entry of env, where there is a key */}}
{{- define "penstock.fromSecret" -}}
{{- if and (index . 0) (index . 1) }}
- name: {{ index . 2 }}
  valueFrom:
    secretKeyRef:
      name: {{ index . 0 | quote }}
      key: {{ index . 1 | quote }}
{{- end }}
{{- end -}}

{{/* What every container needs to reach the registry and the object store. */}}
{{- define "penstock.registryEnv" -}}
{{- with .Values.registry }}
{{- include "penstock.fromSecret" (list .existingSecret .urlKey "PENSTOCK_REGISTRY") }}
{{- include "penstock.credentialsEnv" . }}
{{- end }}
{{- include "penstock.s3Env" . }}
{{- if .Values.hub.followed }}
- name: PENSTOCK_REGISTRY
  value: {{ include "penstock.hub.url" . | quote }}
{{- include "penstock.fromSecret" (list .Values.hub.auth.existingSecret .Values.hub.auth.readKey "MLFLOW_TRACKING_TOKEN") }}
{{- end }}
{{- end -}}

{{- define "penstock.credentialsEnv" -}}
{{- include "penstock.fromSecret" (list .existingSecret .usernameKey "PGUSER") }}
{{- include "penstock.fromSecret" (list .existingSecret .passwordKey "PGPASSWORD") }}
{{- include "penstock.fromSecret" (list .existingSecret .usernameKey "MLFLOW_TRACKING_USERNAME") }}
{{- include "penstock.fromSecret" (list .existingSecret .passwordKey "MLFLOW_TRACKING_PASSWORD") }}
{{- include "penstock.fromSecret" (list .existingSecret .tokenKey "MLFLOW_TRACKING_TOKEN") }}
{{- end -}}

{{- define "penstock.s3Env" -}}
{{- with .Values.s3 }}
{{- include "penstock.fromSecret" (list .existingSecret .accessKeyIdKey "AWS_ACCESS_KEY_ID") }}
{{- include "penstock.fromSecret" (list .existingSecret .secretAccessKeyKey "AWS_SECRET_ACCESS_KEY") }}
{{- include "penstock.fromSecret" (list .existingSecret .sessionTokenKey "AWS_SESSION_TOKEN") }}
{{- with .endpointUrl }}
- name: AWS_ENDPOINT_URL
  value: {{ . | quote }}
{{- end }}
{{- with .region }}
- name: AWS_DEFAULT_REGION
  value: {{ . | quote }}
{{- end }}
{{- end }}
{{- end -}}

{{/* Settings that commands other than serve read, as variables: (list $ "registry" "artifacts") */}}
{{- define "penstock.settingsEnv" -}}
{{- $settings := (index . 0).Values.settings -}}
{{- range rest . }}
{{- $value := get $settings . }}
{{- if and (hasKey $settings .) (not (kindIs "invalid" $value)) (ne (toString $value) "") }}
- name: PENSTOCK_{{ upper . }}
  value: {{ toString $value | quote }}
{{- end }}
{{- end }}
{{- end -}}
