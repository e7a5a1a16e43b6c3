{{/* (list $ values suffix component) */}}
{{- define "penstock.podDisruptionBudget" -}}
{{- $root := index . 0 }}
{{- $suffix := index . 2 }}
{{- $component := index . 3 }}
{{- with index . 1 }}
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  {{- include "penstock.metadata" (list $root $suffix $component dict dict "") | nindent 2 }}
spec:
  {{- if ne (toString .minAvailable) "" }}
  minAvailable: {{ ternary (quote .minAvailable) (int .minAvailable) (kindIs "string" .minAvailable) }}
  {{- else if ne (toString .maxUnavailable) "" }}
  maxUnavailable: {{ ternary (quote .maxUnavailable) (int .maxUnavailable) (kindIs "string" .maxUnavailable) }}
  {{- else }}
  maxUnavailable: 1
  {{- end }}
  {{- with .unhealthyPodEvictionPolicy }}
  unhealthyPodEvictionPolicy: {{ . }}
  {{- end }}
  selector:
    matchLabels:
      {{- include "penstock.componentLabels" (list $root $component) | nindent 6 }}
{{- end }}
{{- end -}}

{{/* (list $ constraints component) -> the constraints, with the component's labels where they name none */}}
{{- define "penstock.topologySpread" -}}
{{- $root := index . 0 }}
{{- $component := index . 2 }}
{{- with index . 1 }}
topologySpreadConstraints:
  {{- range . }}
  - {{- toYaml (omit . "labelSelector") | nindent 4 }}
    labelSelector:
      {{- if .labelSelector }}
      {{- toYaml .labelSelector | nindent 6 }}
      {{- else }}
      matchLabels:
        {{- include "penstock.componentLabels" (list $root $component) | nindent 8 }}
      {{- end }}
  {{- end }}
{{- end }}
{{- end -}}
