{{/* Names and labels. A suffixed name is cut in front of its suffix: the longest that a Service may have is 63. */}}

{{- define "penstock.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 53 | trimSuffix "-" -}}
{{- end -}}

{{- define "penstock.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 53 | trimSuffix "-" -}}
{{- else if contains (include "penstock.name" .) .Release.Name -}}
{{- .Release.Name | trunc 53 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "penstock.name" .) | trunc 53 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* (list $ "metrics") -> NAME-metrics */}}
{{- define "penstock.suffixed" -}}
{{- $root := index . 0 -}}
{{- $suffix := index . 1 -}}
{{- printf "%s-%s" (include "penstock.fullname" $root | trunc (int (sub 62 (len $suffix))) | trimSuffix "-") $suffix -}}
{{- end -}}

{{- define "penstock.namespace" -}}
{{- default .Release.Namespace .Values.namespaceOverride -}}
{{- end -}}

{{- define "penstock.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "penstock.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "penstock.image" -}}
{{- $registry := default .Values.image.registry .Values.global.imageRegistry -}}
{{- $name := ternary (printf "%s/%s" (trimSuffix "/" $registry) .Values.image.repository) .Values.image.repository (ne $registry "") -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" $name .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" $name (default .Chart.AppVersion .Values.image.tag) -}}
{{- end -}}
{{- end -}}

{{/* What the Deployment and the Services select by. It never changes. */}}
{{- define "penstock.selectorLabels" -}}
{{- include "penstock.componentLabels" (list . "gateway") -}}
{{- end -}}

{{/* (list $ "hub") -> the same of another component */}}
{{- define "penstock.componentLabels" -}}
{{- $root := index . 0 -}}
app.kubernetes.io/name: {{ include "penstock.name" $root | quote }}
app.kubernetes.io/instance: {{ $root.Release.Name | quote }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end -}}

{{/* (list $ "hub") -> NAME-hub; "" is the bare name */}}
{{- define "penstock.objectName" -}}
{{- if index . 1 }}{{ include "penstock.suffixed" . }}{{ else }}{{ include "penstock.fullname" (index . 0) }}{{ end -}}
{{- end -}}

{{/* (list $ "gateway" (dict more labels)) -> all labels of an object */}}
{{- define "penstock.labels" -}}
{{- $root := index . 0 -}}
{{- $own := dict
  "helm.sh/chart" (printf "%s-%s" $root.Chart.Name $root.Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-")
  "app.kubernetes.io/name" (include "penstock.name" $root)
  "app.kubernetes.io/instance" $root.Release.Name
  "app.kubernetes.io/component" (index . 1)
  "app.kubernetes.io/version" ($root.Chart.AppVersion | replace "+" "_")
  "app.kubernetes.io/managed-by" $root.Release.Service
  "app.kubernetes.io/part-of" "penstock" -}}
{{- $more := ternary (last .) dict (gt (len .) 2) -}}
{{- toYaml (merge dict $more $root.Values.commonLabels $own) -}}
{{- end -}}

{{/* (list $ "metrics" "component" (dict labels) (dict annotations) "namespace") -> a metadata block. "" is the bare name. */}}
{{- define "penstock.metadata" -}}
{{- $root := index . 0 -}}
{{- $suffix := index . 1 -}}
name: {{ include "penstock.objectName" (list $root $suffix) | quote }}
namespace: {{ default (include "penstock.namespace" $root) (index . 5) | quote }}
labels:
  {{- include "penstock.labels" (list $root (index . 2) (index . 3)) | nindent 2 }}
{{- with merge dict (index . 4) $root.Values.commonAnnotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}
