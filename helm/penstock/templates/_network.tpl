{{/* What leads to a component: its Service, Ingress, HTTPRoute and ServiceMonitor. Each takes (list $ values suffix component), where
the suffix is that of the objects' names, "" for none. */}}

{{- define "penstock.service" -}}
{{- $root := index . 0 }}
{{- $suffix := index . 2 }}
{{- $component := index . 3 }}
{{- with index . 1 }}
apiVersion: v1
kind: Service
metadata:
  {{- include "penstock.metadata" (list $root $suffix $component .labels .annotations "") | nindent 2 }}
spec:
  type: {{ .type }}
  {{- with .clusterIP }}
  clusterIP: {{ . | quote }}
  {{- end }}
  {{- with .loadBalancerClass }}
  loadBalancerClass: {{ . | quote }}
  {{- end }}
  {{- with .loadBalancerSourceRanges }}
  loadBalancerSourceRanges:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .externalTrafficPolicy }}
  externalTrafficPolicy: {{ . }}
  {{- end }}
  {{- with .ipFamilyPolicy }}
  ipFamilyPolicy: {{ . }}
  {{- end }}
  selector:
    {{- include "penstock.componentLabels" (list $root $component) | nindent 4 }}
  ports:
    - name: http
      port: {{ int .port }}
      targetPort: http
      protocol: TCP
      appProtocol: {{ .appProtocol | quote }}
      {{- with .nodePort }}
      nodePort: {{ int . }}
      {{- end }}
{{- end }}
{{- end -}}

{{- define "penstock.ingress" -}}
{{- $root := index . 0 }}
{{- $suffix := index . 2 }}
{{- $component := index . 3 }}
{{- with index . 1 }}
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  {{- include "penstock.metadata" (list $root $suffix $component .labels .annotations "") | nindent 2 }}
spec:
  {{- with .className }}
  ingressClassName: {{ . | quote }}
  {{- end }}
  {{- with .tls }}
  tls:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  rules:
    {{- range .hosts }}
    - http:
        paths:
          {{- range default (list (dict "path" "/")) .paths }}
          - path: {{ .path | quote }}
            pathType: {{ default "Prefix" .pathType }}
            backend:
              service:
                name: {{ include "penstock.objectName" (list $root $suffix) | quote }}
                port:
                  name: http
          {{- end }}
      {{- with .host }}
      host: {{ . | quote }}
      {{- end }}
    {{- end }}
{{- end }}
{{- end -}}

{{/* And after those four the port of the Service. */}}
{{- define "penstock.httpRoute" -}}
{{- $root := index . 0 }}
{{- $suffix := index . 2 }}
{{- $component := index . 3 }}
{{- $port := index . 4 }}
{{- with index . 1 }}
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata:
  {{- include "penstock.metadata" (list $root $suffix $component .labels .annotations "") | nindent 2 }}
spec:
  parentRefs:
    {{- toYaml .parentRefs | nindent 4 }}
  {{- with .hostnames }}
  hostnames:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  rules:
    {{- if .httpsRedirect }}
    - filters:
        - type: RequestRedirect
          requestRedirect:
            scheme: https
            statusCode: 301
    {{- else }}
    - backendRefs:
        - name: {{ include "penstock.objectName" (list $root $suffix) | quote }}
          port: {{ int $port }}
      matches:
        {{- toYaml .matches | nindent 8 }}
      {{- with .filters }}
      filters:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with .timeouts }}
      timeouts:
        {{- toYaml . | nindent 8 }}
      {{- end }}
    {{- end }}
{{- end }}
{{- end -}}

{{/* And after those four the port's name, and a Secret and its key for the token, each "" for none. The component is that of the
Service that is scraped. */}}
{{- define "penstock.serviceMonitor" -}}
{{- $root := index . 0 }}
{{- $suffix := index . 2 }}
{{- $component := index . 3 }}
{{- $port := index . 4 }}
{{- $secret := index . 5 }}
{{- $key := index . 6 }}
{{- with index . 1 }}
apiVersion: monitoring.coreos.com/v1
kind: ServiceMonitor
metadata:
  {{- include "penstock.metadata" (list $root $suffix $component .labels .annotations .namespace) | nindent 2 }}
spec:
  jobLabel: app.kubernetes.io/instance
  namespaceSelector:
    matchNames:
      - {{ include "penstock.namespace" $root | quote }}
  selector:
    matchLabels:
      {{- include "penstock.componentLabels" (list $root $component) | nindent 6 }}
  endpoints:
    - port: {{ $port }}
      path: /metrics
      interval: {{ .interval | quote }}
      scrapeTimeout: {{ .scrapeTimeout | quote }}
      honorLabels: {{ .honorLabels }}
      {{- if $secret }}
      authorization:
        type: Bearer
        credentials:
          name: {{ $secret | quote }}
          key: {{ $key | quote }}
      {{- end }}
      {{- with .relabelings }}
      relabelings:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with .metricRelabelings }}
      metricRelabelings:
        {{- toYaml . | nindent 8 }}
      {{- end }}
{{- end }}
{{- end -}}
