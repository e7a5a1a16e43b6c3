{{/* What the pods of the Deployment and of the Jobs have in common. */}}

{{- define "penstock.podSecurityContext" -}}
{{- with .Values.podSecurityContext }}
{{- if $.Values.openshift.enabled }}
{{- with omit . "runAsUser" "runAsGroup" "fsGroup" "fsGroupChangePolicy" }}
securityContext:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- else }}
securityContext:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
{{- end -}}

{{- define "penstock.securityContext" -}}
{{- with .Values.securityContext }}
{{- if $.Values.openshift.enabled }}
{{- with omit . "runAsUser" "runAsGroup" }}
securityContext:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- else }}
securityContext:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
{{- end -}}

{{- define "penstock.imagePullSecrets" -}}
{{- $all := concat .Values.global.imagePullSecrets .Values.imagePullSecrets }}
{{- with $all }}
imagePullSecrets:
  {{- range . }}
  - name: {{ ternary . (get (ternary dict . (kindIs "string" .)) "name") (kindIs "string" .) | quote }}
  {{- end }}
{{- end }}
{{- end -}}

{{/* Where pods may run. */}}
{{- define "penstock.scheduling" -}}
{{- with .Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.priorityClassName }}
priorityClassName: {{ . | quote }}
{{- end }}
{{- with .Values.runtimeClassName }}
runtimeClassName: {{ . | quote }}
{{- end }}
{{- with .Values.schedulerName }}
schedulerName: {{ . | quote }}
{{- end }}
{{- with .Values.hostAliases }}
hostAliases:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.dnsPolicy }}
dnsPolicy: {{ . }}
{{- end }}
{{- with .Values.dnsConfig }}
dnsConfig:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- define "penstock.emptyDir" -}}
{{- $limits := dict -}}
{{- with .sizeLimit }}{{ $_ := set $limits "sizeLimit" . }}{{ end -}}
{{- with .medium }}{{ $_ := set $limits "medium" . }}{{ end -}}
emptyDir: {{ toJson $limits }}
{{- end -}}

{{- define "penstock.tmpVolume" -}}
- name: tmp
  {{- include "penstock.emptyDir" .Values.tmp | nindent 2 }}
{{- end -}}

{{- define "penstock.cacheVolume" -}}
{{- with .Values.modelCache -}}
- name: model-cache
{{- if eq .type "emptyDir" }}
  {{- include "penstock.emptyDir" . | nindent 2 }}
{{- else if eq .type "ephemeral" }}
  ephemeral:
    volumeClaimTemplate:
      spec:
        {{- include "penstock.claim" (list . (default (list "ReadWriteOnce") .accessModes)) | nindent 8 }}
{{- else }}
  persistentVolumeClaim:
    claimName: {{ default (include "penstock.suffixed" (list $ "model-cache")) .existingClaim | quote }}
{{- end }}
{{- end }}
{{- end -}}

{{- define "penstock.claim" -}}
{{- $cache := index . 0 -}}
accessModes: {{ toJson (index . 1) }}
resources:
  requests:
    storage: {{ $cache.size | quote }}
{{- with $cache.storageClass }}
storageClassName: {{ . | quote }}
{{- end }}
{{- end -}}

{{- define "penstock.cachePath" -}}
{{- default "/var/cache/penstock" .Values.settings.cache -}}
{{- end -}}

{{- define "penstock.commonMounts" -}}
- name: tmp
  mountPath: /tmp
- name: model-cache
  mountPath: {{ include "penstock.cachePath" . | quote }}
{{- end -}}

{{/* (list $ values-of-the-probe "/path") -> the probe, with a handler if it has none of its own */}}
{{- define "penstock.probe" -}}
{{- $root := index . 0 -}}
{{- $probe := index . 1 -}}
{{- if not (or (hasKey $probe "exec") (hasKey $probe "httpGet") (hasKey $probe "tcpSocket") (hasKey $probe "grpc")) }}
httpGet:
  path: {{ index . 2 }}
  port: {{ include "penstock.adminPortName" $root }}
{{- end }}
{{- with $probe }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* (list $ values name component) */}}
{{- define "penstock.serviceAccount" -}}
{{- $root := index . 0 }}
{{- $values := index . 1 }}
apiVersion: v1
kind: ServiceAccount
metadata:
  name: {{ index . 2 | quote }}
  namespace: {{ include "penstock.namespace" $root | quote }}
  labels:
    {{- include "penstock.labels" (list $root (index . 3)) | nindent 4 }}
  {{- with merge dict $values.annotations $root.Values.commonAnnotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
automountServiceAccountToken: {{ $values.automount }}
{{- end -}}
