{{/* A hook runs before the chart's other objects are there: it uses none of them. (list $ suffix arguments env) */}}
{{- define "penstock.migrationJob" -}}
{{- $root := index . 0 }}
{{- $suffix := index . 1 }}
{{- $arguments := index . 2 }}
{{- $env := index . 3 }}
{{- with $root.Values.migration }}
{{- $hook := dict "helm.sh/hook" .hooks "helm.sh/hook-weight" .hookWeight "helm.sh/hook-delete-policy" .hookDeletePolicy }}
apiVersion: batch/v1
kind: Job
metadata:
  {{- include "penstock.metadata" (list $root $suffix "migration" dict (merge dict .annotations $hook) "") | nindent 2 }}
spec:
  backoffLimit: {{ int .backoffLimit }}
  activeDeadlineSeconds: {{ int .activeDeadlineSeconds }}
  template:
    metadata:
      labels:
        {{- include "penstock.labels" (list $root "migration") | nindent 8 }}
    spec:
      restartPolicy: Never
      serviceAccountName: {{ default "default" .serviceAccountName | quote }}
      automountServiceAccountToken: {{ $root.Values.serviceAccount.automount }}
      enableServiceLinks: false
      {{- with include "penstock.imagePullSecrets" $root | trim }}{{ nindent 6 . }}{{ end }}
      {{- with include "penstock.podSecurityContext" $root | trim }}{{ nindent 6 . }}{{ end }}
      {{- with include "penstock.scheduling" $root | trim }}{{ nindent 6 . }}{{ end }}
      containers:
        - name: migrate
          image: {{ include "penstock.image" $root | quote }}
          imagePullPolicy: {{ $root.Values.image.pullPolicy }}
          args: [{{ join ", " $arguments }}]
          env:
            {{- with $env | trim }}{{ nindent 12 . }}{{ end }}
          {{- with .resources }}
          resources:
            {{- toYaml . | nindent 12 }}
          {{- end }}
          {{- with include "penstock.securityContext" $root | trim }}{{ nindent 10 . }}{{ end }}
          volumeMounts:
            - name: tmp
              mountPath: /tmp
      volumes:
        {{- include "penstock.tmpVolume" $root | nindent 8 }}
{{- end }}
{{- end -}}

{{- define "penstock.migrationEnv" -}}
{{- with .Values.migration }}
{{- if .existingSecret }}
{{- include "penstock.fromSecret" (list .existingSecret .urlKey "PENSTOCK_REGISTRY") }}
{{- include "penstock.credentialsEnv" $.Values.registry }}
{{- include "penstock.s3Env" $ }}
{{- else }}
{{- include "penstock.registryEnv" $ }}
{{- include "penstock.settingsEnv" (list $ "registry") }}
{{- end }}
{{- include "penstock.settingsEnv" (list $ "artifacts") }}
- name: HOME
  value: /tmp
{{- with $.Values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end }}
{{- end -}}
