{{/* What the hub's objects have in common. "true" or nothing stands for yes and no. */}}

{{/* Whether the store is in PostgreSQL, and not in SQLite. */}}
{{- define "penstock.hub.postgres" -}}
{{- with .Values.hub.store }}{{ if or .url (and .existingSecret .urlKey) }}true{{ end }}{{ end -}}
{{- end -}}

{{/* Whether something is kept on the claim. */}}
{{- define "penstock.hub.claimed" -}}
{{- if or (not (include "penstock.hub.postgres" .)) (not .Values.hub.artifacts) }}true{{ end -}}
{{- end -}}

{{/* Whether one pod at a time is all that there may be: one process writes SQLite, and most disks are one node's. */}}
{{- define "penstock.hub.single" -}}
{{- if not (include "penstock.hub.postgres" .) }}true
{{- else if and (include "penstock.hub.claimed" .) (not (has "ReadWriteMany" (default list .Values.hub.persistence.accessModes))) }}true{{ end -}}
{{- end -}}

{{- define "penstock.hub.directory" -}}
/var/lib/penstock
{{- end -}}

{{- define "penstock.hub.claimName" -}}
{{- default (include "penstock.suffixed" (list . "hub")) .Values.hub.persistence.existingClaim -}}
{{- end -}}

{{- define "penstock.hub.serviceAccountName" -}}
{{- with .Values.hub.serviceAccount -}}
{{- if .create }}{{ default (include "penstock.suffixed" (list $ "hub")) .name }}{{ else }}{{ default "default" .name }}{{ end -}}
{{- end -}}
{{- end -}}

{{/* The hub as the release's own pods reach it. */}}
{{- define "penstock.hub.url" -}}
http://{{ include "penstock.suffixed" (list . "hub") }}:{{ int .Values.hub.service.port }}
{{- end -}}

{{/* The names that the hub answers for, between blanks. Nothing for any name, which a hub that asks for tokens may allow. */}}
{{- define "penstock.hub.hosts" -}}
{{- if or .Values.hub.openToEverybody .Values.hub.allowedHosts -}}
{{- $service := include "penstock.suffixed" (list . "hub") -}}
{{- $namespace := include "penstock.namespace" . -}}
{{- $names := list $service (printf "%s.%s" $service $namespace) (printf "%s.%s.svc" $service $namespace) (printf "%s.%s.svc.cluster.local" $service $namespace) -}}
{{- if .Values.hub.ingress.enabled }}{{ range .Values.hub.ingress.hosts }}{{ $names = append $names .host }}{{ end }}{{ end -}}
{{- if .Values.hub.route.main.enabled }}{{ $names = concat $names .Values.hub.route.main.hostnames }}{{ end -}}
{{- concat $names .Values.hub.allowedHosts | compact | uniq | join " " -}}
{{- end -}}
{{- end -}}

{{/* Where the database is. Credentials beside the URL are psycopg's own variables. */}}
{{- define "penstock.hub.storeEnv" -}}
{{- with .Values.hub.store }}
{{- if include "penstock.hub.postgres" $ }}
{{- include "penstock.fromSecret" (list .existingSecret .urlKey "PENSTOCK_STORE") }}
{{- with .url }}
- name: PENSTOCK_STORE
  value: {{ . | quote }}
{{- end }}
{{- include "penstock.fromSecret" (list .existingSecret .usernameKey "PGUSER") }}
{{- include "penstock.fromSecret" (list .existingSecret .passwordKey "PGPASSWORD") }}
{{- else }}
- name: PENSTOCK_STORE
  value: {{ include "penstock.hub.directory" $ }}
{{- end }}
{{- end }}
{{- end -}}

{{/* Where files are, and the keys of that place. */}}
{{- define "penstock.hub.artifactsEnv" -}}
- name: PENSTOCK_ARTIFACTS
  value: {{ default (printf "%s/artifacts" (include "penstock.hub.directory" .)) .Values.hub.artifacts | quote }}
{{- $secret := default .Values.s3.existingSecret .Values.hub.s3.existingSecret }}
{{- include "penstock.s3Env" (dict "Values" (dict "s3" (merge (dict "existingSecret" $secret) .Values.s3))) }}
{{- end -}}

{{- define "penstock.hub.tokensEnv" -}}
{{- with .Values.hub.auth }}
{{- include "penstock.fromSecret" (list .existingSecret .adminKey "PENSTOCK_HUB_ADMIN_TOKEN") }}
{{- include "penstock.fromSecret" (list .existingSecret .promoteKey "PENSTOCK_HUB_PROMOTE_TOKEN") }}
{{- include "penstock.fromSecret" (list .existingSecret .writeKey "PENSTOCK_HUB_WRITE_TOKEN") }}
{{- include "penstock.fromSecret" (list .existingSecret .readKey "PENSTOCK_HUB_READ_TOKEN") }}
{{- end }}
{{- end -}}

{{/* Where its pods may run: nodes of its own choice, the cluster's names like everybody's. */}}
{{- define "penstock.hub.scheduling" -}}
{{- $own := pick .Values.hub "nodeSelector" "affinity" "tolerations" "priorityClassName" -}}
{{- include "penstock.scheduling" (dict "Values" (merge $own (pick .Values "schedulerName" "hostAliases" "dnsPolicy" "dnsConfig"))) -}}
{{- end -}}

{{/* (list $ values-of-the-probe) -> the probe */}}
{{- define "penstock.hub.probe" -}}
{{- $probe := index . 1 -}}
{{- if not (or (hasKey $probe "exec") (hasKey $probe "httpGet") (hasKey $probe "tcpSocket") (hasKey $probe "grpc")) }}
httpGet:
  path: /health
  port: http
{{- end }}
{{- with $probe }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "penstock.hub.migrationEnv" -}}
{{- with .Values.hub.migration }}
{{- if .existingSecret }}
{{- include "penstock.fromSecret" (list .existingSecret .urlKey "PENSTOCK_STORE") }}
{{- else }}
{{- include "penstock.hub.storeEnv" $ }}
{{- end }}
{{- end }}
- name: HOME
  value: /tmp
{{- with .Values.hub.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end -}}
