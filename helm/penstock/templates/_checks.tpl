{{/* What no schema can say: values that contradict each other. All of it is told at once. */}}

{{- define "penstock.check" -}}
{{- $said := list -}}
{{- range (splitList "\n" (include "penstock.findings" .)) -}}
{{- with trim . }}{{ $said = append $said . }}{{ end -}}
{{- end -}}
{{- if $said -}}
{{- fail (printf "\n\nThe values of Penstock cannot be used:\n  - %s\n" (join "\n  - " $said)) -}}
{{- end -}}
{{- end -}}

{{/* One sentence a line. */}}
{{- define "penstock.findings" -}}
{{- include "penstock.findings.settings" . }}
{{- include "penstock.findings.secrets" . }}
{{- include "penstock.findings.scaling" . }}
{{- include "penstock.findings.pod" . }}
{{- include "penstock.findings.network" . }}
{{- include "penstock.findings.jobs" . }}
{{- include "penstock.findings.components" . }}
{{- include "penstock.findings.hub" . }}
{{- include "penstock.findings.extra" . }}
{{- end -}}

{{- define "penstock.findings.settings" -}}
{{- $settings := .Values.settings -}}
{{- if not (regexMatch "^[a-z]" (include "penstock.fullname" .)) }}
the name {{ include "penstock.fullname" . }} begins with a digit, which a Service's may not: set fullnameOverride.
{{- end }}
{{- if or (hasPrefix "127." $settings.host) (has $settings.host (list "localhost" "::1" "")) }}
settings.host is {{ $settings.host | quote }}: nothing outside the pod could reach the gateway; use 0.0.0.0, or :: for IPv6.
{{- end }}
{{- if eq (int $settings.port) 0 }}
settings.port is 0, a port that nobody could know: name one.
{{- end }}
{{- if not (kindIs "invalid" $settings.admin_port) }}
{{- if eq (int $settings.admin_port) 0 }}
settings.admin_port is 0, a port that nobody could know: name one, or null for none.
{{- end }}
{{- if eq (int $settings.admin_port) (int $settings.port) }}
settings.admin_port and settings.port are both {{ int $settings.port }}: name two ports, or set admin_port to null.
{{- end }}
{{- end }}
{{- range $name, $value := $settings }}
{{- if and (kindIs "string" $value) (regexMatch "://[^/@]*:[^/@]*@" $value) }}
settings.{{ $name }} has a password in it, and a ConfigMap is no place for one: put the URL into a Secret (registry.existingSecret, registry.urlKey).
{{- end }}
{{- end }}
{{- $patterns := regexMatch "[*?\\[]" (keys .Values.models | join " ") }}
{{- if and .Values.models $settings.default_model (not $patterns) (not (hasKey .Values.models $settings.default_model)) }}
settings.default_model {{ $settings.default_model | quote }} is none of models: {{ keys .Values.models | sortAlpha | join ", " }}.
{{- end }}
{{- if not (hasPrefix "/" (include "penstock.cachePath" .)) }}
settings.cache {{ $settings.cache | quote }} is no absolute path: it is where the volume of modelCache is mounted.
{{- end }}
{{- if has (trimSuffix "/" (include "penstock.cachePath" .)) (list "" "/tmp" "/etc" "/etc/penstock" "/usr" "/bin" "/lib" "/proc" "/sys" "/dev") }}
settings.cache {{ include "penstock.cachePath" . | quote }} is in use for something else: choose a directory of its own.
{{- end }}
{{- end -}}

{{- define "penstock.findings.secrets" -}}
{{- with .Values.registry }}
{{- $keys := compact (list .urlKey .usernameKey .passwordKey .tokenKey) }}
{{- if and .existingSecret (not $keys) }}
registry.existingSecret names no key: set urlKey, or usernameKey and passwordKey, or tokenKey.
{{- end }}
{{- if and $keys (not .existingSecret) }}
registry has keys and no existingSecret to find them in.
{{- end }}
{{- if and .existingSecret .urlKey $.Values.settings.registry }}
settings.registry and registry.urlKey both name a registry: leave one out.
{{- end }}
{{- end }}
{{- with .Values.auth }}
{{- if and .callers.existingSecret $.Values.serviceMonitor.enabled (not .prometheus.existingSecret) (not .existingSecret) }}
serviceMonitor is enabled, and Prometheus has no token to send: name a Secret in auth.prometheus.existingSecret.
{{- end }}
{{- end }}
{{- range .Values.extraArgs }}
{{- if regexMatch "^(--config|--host|--port|--admin-port|--cache|--drain-delay|--drain-timeout|--api-token|--tokens|--tokens-file|-[hp])(=|$)" . }}
extraArgs has {{ . }}, which the chart computes with or keeps in a Secret: use settings, auth.existingSecret or auth.callers.existingSecret.
{{- end }}
{{- end }}
{{- range .Values.extraEnv }}
{{- if has .name (list "PENSTOCK_CONFIG" "PENSTOCK_HOST" "PENSTOCK_PORT" "PENSTOCK_ADMIN_PORT" "PENSTOCK_CACHE" "PENSTOCK_DRAIN_DELAY" "PENSTOCK_DRAIN_TIMEOUT") }}
extraEnv sets {{ .name }}, which the chart computes with: use settings.
{{- end }}
{{- if and (eq .name "PENSTOCK_API_TOKEN") (or .value $.Values.auth.existingSecret) }}
extraEnv sets PENSTOCK_API_TOKEN: use auth.existingSecret, which keeps it in a Secret.
{{- end }}
{{- if and (eq .name "PENSTOCK_TOKENS_FILE") $.Values.auth.callers.existingSecret }}
extraEnv sets PENSTOCK_TOKENS_FILE, and auth.callers.existingSecret is set too: use one of them.
{{- end }}
{{- if and (has .name (list "PENSTOCK_REGISTRY" "PGUSER" "PGPASSWORD" "MLFLOW_TRACKING_USERNAME" "MLFLOW_TRACKING_PASSWORD" "MLFLOW_TRACKING_TOKEN")) $.Values.registry.existingSecret }}
extraEnv sets {{ .name }}, and registry.existingSecret is set too: use one of them.
{{- end }}
{{- if and (has .name (list "AWS_ACCESS_KEY_ID" "AWS_SECRET_ACCESS_KEY" "AWS_SESSION_TOKEN")) $.Values.s3.existingSecret }}
extraEnv sets {{ .name }}, and s3.existingSecret is set too: use one of them.
{{- end }}
{{- if and .value .valueFrom }}
extraEnv: {{ .name }} has a value and a valueFrom: only one can be.
{{- end }}
{{- end }}
{{- end -}}

{{/* The fewest pods that there may be. */}}
{{- define "penstock.fewestPods" -}}
{{- if .Values.autoscaling.enabled }}{{ int .Values.autoscaling.minReplicas }}
{{- else if .Values.keda.enabled }}{{ int .Values.keda.minReplicas }}
{{- else }}{{ int .Values.replicaCount }}{{ end -}}
{{- end -}}

{{- define "penstock.findings.scaling" -}}
{{- $scaled := or .Values.autoscaling.enabled .Values.keda.enabled -}}
{{- if and .Values.autoscaling.enabled .Values.keda.enabled }}
autoscaling and keda are both enabled, and both would decide on the number of pods: choose one.
{{- end }}
{{- with .Values.autoscaling }}
{{- if .enabled }}
{{- if gt (int .minReplicas) (int .maxReplicas) }}
autoscaling.minReplicas ({{ int .minReplicas }}) is more than maxReplicas ({{ int .maxReplicas }}).
{{- end }}
{{- if not (or .targetCPUUtilizationPercentage .targetMemoryUtilizationPercentage .metrics) }}
autoscaling has nothing to go by: set targetCPUUtilizationPercentage, targetMemoryUtilizationPercentage or metrics.
{{- end }}
{{- $requests := default dict (default dict $.Values.resources).requests }}
{{- $limits := default dict (default dict $.Values.resources).limits }}
{{- if and .targetCPUUtilizationPercentage (not (or $requests.cpu $limits.cpu)) }}
autoscaling goes by CPU, a percentage of resources.requests.cpu, which is not set.
{{- end }}
{{- if and .targetMemoryUtilizationPercentage (not (or $requests.memory $limits.memory)) }}
autoscaling goes by memory, a percentage of resources.requests.memory, which is not set.
{{- end }}
{{- end }}
{{- end }}
{{- with .Values.keda }}
{{- if .enabled }}
{{- if gt (int .minReplicas) (int .maxReplicas) }}
keda.minReplicas ({{ int .minReplicas }}) is more than maxReplicas ({{ int .maxReplicas }}).
{{- end }}
{{- if not (or .prometheus.serverAddress .triggers) }}
keda has nothing to go by: set keda.prometheus.serverAddress, or triggers.
{{- end }}
{{- if and .fallback (not (and (hasKey .fallback "failureThreshold") (hasKey .fallback "replicas"))) }}
keda.fallback needs failureThreshold and replicas.
{{- end }}
{{- end }}
{{- end }}
{{- include "penstock.findings.budget" (list . "" .Values.podDisruptionBudget (include "penstock.fewestPods" .)) }}
{{- with .Values.strategy }}
{{- $rolling := default dict .rollingUpdate }}
{{- if and (ne (default "RollingUpdate" .type) "Recreate") (has (toString $rolling.maxUnavailable) (list "0" "0%")) (has (toString $rolling.maxSurge) (list "0" "0%")) }}
strategy.rollingUpdate has maxUnavailable 0 and maxSurge 0, so that no pod could ever be replaced.
{{- end }}
{{- end }}
{{- with .Values.modelCache }}
{{- if and (eq .type "claim") (not .existingClaim) (not (has "ReadWriteMany" (default (list "ReadWriteMany") .accessModes))) }}
{{- if or $scaled (gt (int $.Values.replicaCount) 1) (ne (default "" (default dict $.Values.strategy).type) "Recreate") }}
modelCache.accessModes {{ .accessModes | join ", " }} lets pods of one node in: use ReadWriteMany, type: ephemeral, or replicaCount: 1 with strategy.type: Recreate.
{{- end }}
{{- end }}
{{- if and (ne .type "claim") .existingClaim }}
modelCache.existingClaim is set, and modelCache.type is {{ .type }}: it must be claim.
{{- end }}
{{- end }}
{{- end -}}

{{/* (list $ prefix values "the fewest pods") */}}
{{- define "penstock.findings.budget" -}}
{{- $root := index . 0 }}
{{- $prefix := index . 1 }}
{{- $fewest := int (index . 3) }}
{{- with index . 2 }}
{{- if .enabled }}
{{- $min := toString .minAvailable }}
{{- $max := toString .maxUnavailable }}
{{- if and (ne $min "") (ne $max "") }}
{{ $prefix }}podDisruptionBudget has minAvailable and maxUnavailable: only one may be set.
{{- end }}
{{- if and (gt $fewest 0) (or (eq $max "0") (eq $max "0%") (eq $min "100%") (and (regexMatch "^[0-9]+$" $min) (ge (int $min) $fewest) (gt (int $min) 0))) }}
{{ $prefix }}podDisruptionBudget allows no pod to go while there are {{ $fewest }}, so that no node could ever be drained: use maxUnavailable: 1.
{{- end }}
{{- range list $min $max }}
{{- if and (hasSuffix "%" .) (gt (int (trimSuffix "%" .)) 100) }}
{{ $prefix }}podDisruptionBudget has {{ . }}: more than all.
{{- end }}
{{- end }}
{{- if and .unhealthyPodEvictionPolicy (semverCompare "<1.27-0" $root.Capabilities.KubeVersion.Version) }}
{{ $prefix }}podDisruptionBudget.unhealthyPodEvictionPolicy needs Kubernetes 1.27, this is {{ $root.Capabilities.KubeVersion.Version }}.
{{- end }}
{{- end }}
{{- end }}
{{- end -}}

{{- define "penstock.findings.pod" -}}
{{- $values := .Values -}}
{{- $sleep := int (default 0 (default dict (default dict (default dict .Values.lifecycle).preStop).sleep).seconds) -}}
{{- $last := addf (float64 $sleep) (float64 .Values.settings.drain_delay) (float64 .Values.settings.drain_timeout) 5 -}}
{{- if lt (float64 .Values.terminationGracePeriodSeconds) $last }}
terminationGracePeriodSeconds ({{ int .Values.terminationGracePeriodSeconds }}) is too short: a pod may need {{ $last }} seconds to drain ({{ if $sleep }}preStop sleep {{ $sleep }} + {{ end }}drain_delay {{ .Values.settings.drain_delay }} + drain_timeout {{ .Values.settings.drain_timeout }} + 5), and would be killed with requests in flight.
{{- end }}
{{- if and (default dict (default dict .Values.lifecycle).preStop).sleep (semverCompare "<1.30-0" .Capabilities.KubeVersion.Version) }}
lifecycle.preStop.sleep needs Kubernetes 1.30, this is {{ .Capabilities.KubeVersion.Version }}: use settings.drain_delay.
{{- end }}
{{- range $hook, $do := default dict .Values.lifecycle }}
{{- if ne (len $do) 1 }}
lifecycle.{{ $hook }} needs one handler and has {{ len $do }}.
{{- end }}
{{- end }}
{{- include "penstock.findings.probes" (list "" $values) }}
{{- include "penstock.findings.containers" (list "" "penstock" $values (list "config" "tokens" "tmp" "model-cache") (list "/tmp" "/etc/penstock" "/etc/penstock-tokens" (include "penstock.cachePath" . | trimSuffix "/"))) }}
{{- $fixed := list "app.kubernetes.io/name" "app.kubernetes.io/instance" "app.kubernetes.io/component" }}
{{- range $where, $labels := dict "podLabels" .Values.podLabels "commonLabels" .Values.commonLabels }}
{{- range $label, $_ := $labels }}
{{- if has $label $fixed }}
{{ $where }} sets {{ $label }}, which the Service and the Deployment select by: leave it out.
{{- end }}
{{- end }}
{{- end }}
{{- if and (eq .Values.dnsPolicy "None") (not .Values.dnsConfig) }}
dnsPolicy None needs a dnsConfig.
{{- end }}
{{- end -}}

{{/* (list prefix values-of-the-component) */}}
{{- define "penstock.findings.probes" -}}
{{- $prefix := index . 0 }}
{{- $values := index . 1 }}
{{- range $name := list "startupProbe" "readinessProbe" "livenessProbe" }}
{{- with get $values $name }}
{{- if gt (len (pick . "exec" "httpGet" "tcpSocket" "grpc")) 1 }}
{{ $prefix }}{{ $name }} has more than one handler.
{{- end }}
{{- if and (ne $name "readinessProbe") (gt (int (default 1 .successThreshold)) 1) }}
{{ $prefix }}{{ $name }}.successThreshold may only be 1.
{{- end }}
{{- if and (eq $name "readinessProbe") .terminationGracePeriodSeconds }}
{{ $prefix }}readinessProbe has no terminationGracePeriodSeconds: it ends nothing.
{{- end }}
{{- end }}
{{- end }}
{{- end -}}

{{/* (list prefix "its container" values-of-the-component (list its volumes) (list their paths)) */}}
{{- define "penstock.findings.containers" -}}
{{- $prefix := index . 0 }}
{{- $own := index . 1 }}
{{- $values := index . 2 }}
{{- $volumes := index . 3 }}
{{- $paths := index . 4 }}
{{- $names := list }}
{{- range concat (default list $values.initContainers) (default list $values.extraContainers) }}
{{- if has .name (append $names $own) }}
two containers would be called {{ .name | quote }}: choose another name in {{ $prefix }}initContainers or extraContainers.
{{- end }}
{{- $names = append $names .name }}
{{- end }}
{{- range default list $values.extraVolumes }}
{{- if has .name $volumes }}
two volumes would be called {{ .name | quote }}: choose another name in {{ $prefix }}extraVolumes.
{{- end }}
{{- $volumes = append $volumes .name }}
{{- end }}
{{- range default list $values.extraVolumeMounts }}
{{- if not (has .name $volumes) }}
{{ $prefix }}extraVolumeMounts names a volume {{ .name | quote }} that is not among {{ $prefix }}extraVolumes.
{{- end }}
{{- if has (trimSuffix "/" .mountPath) $paths }}
{{ $prefix }}extraVolumeMounts mounts at {{ .mountPath }}, where something is mounted already.
{{- end }}
{{- $paths = append $paths (trimSuffix "/" .mountPath) }}
{{- end }}
{{- end -}}

{{- define "penstock.findings.network" -}}
{{- include "penstock.findings.ways" (list "" .Values.service .Values.ingress .Values.route.main) }}
{{- end -}}

{{/* What leads to a component: (list prefix service ingress route), the prefix being that of its values. */}}
{{- define "penstock.findings.ways" -}}
{{- $prefix := index . 0 }}
{{- with index . 1 }}
{{- $outside := has .type (list "NodePort" "LoadBalancer") }}
{{- if and .nodePort (not $outside) }}
{{ $prefix }}service.nodePort is set, and {{ $prefix }}service.type is {{ .type }}: it must be NodePort or LoadBalancer.
{{- end }}
{{- if and .externalTrafficPolicy (not $outside) }}
{{ $prefix }}service.externalTrafficPolicy is set, and {{ $prefix }}service.type is {{ .type }}: it must be NodePort or LoadBalancer.
{{- end }}
{{- if and (or .loadBalancerClass .loadBalancerSourceRanges) (ne .type "LoadBalancer") }}
{{ $prefix }}service.loadBalancerClass and loadBalancerSourceRanges need {{ $prefix }}service.type LoadBalancer, not {{ .type }}.
{{- end }}
{{- if and (eq .clusterIP "None") $outside }}
{{ $prefix }}service.clusterIP None, a headless service, cannot be of type {{ .type }}.
{{- end }}
{{- end }}
{{- with index . 2 }}
{{- if and .enabled (not .hosts) }}
{{ $prefix }}ingress is enabled and has no hosts: for example hosts: [{host: models.example.com, paths: [{path: /}]}].
{{- end }}
{{- end }}
{{- with index . 3 }}
{{- if and .enabled (not .parentRefs) }}
{{ $prefix }}route.main is enabled and has no parentRefs: name the Gateway, for example parentRefs: [{name: public, namespace: gateways}].
{{- end }}
{{- end }}
{{- end -}}

{{- define "penstock.findings.extra" -}}
{{- range $index, $extra := .Values.extraObjects }}
{{- range splitList "\n---" (tpl (ternary $extra (toYaml $extra) (kindIs "string" $extra)) $) }}
{{- $object := fromYaml . }}
{{- if not (and (kindIs "string" $object.apiVersion) (kindIs "string" $object.kind) (kindIs "map" $object.metadata)) }}
extraObjects: number {{ $index }} is no object of Kubernetes', with apiVersion, kind and metadata.
{{- end }}
{{- end }}
{{- end }}
{{- end -}}

{{- define "penstock.findings.jobs" -}}
{{- $registry := default "" .Values.settings.registry -}}
{{- with .Values.migration }}
{{- if .enabled }}
{{- if and (not .existingSecret) (not (and $.Values.registry.existingSecret $.Values.registry.urlKey)) (not (hasPrefix "postgresql" $registry)) }}
migration is enabled, and settings.registry is {{ ternary "not set" ($registry | quote) (eq $registry "") }}: only a registry in PostgreSQL is migrated; name it there, in registry.urlKey or in migration.existingSecret.
{{- end }}
{{- end }}
{{- end }}
{{- with .Values.scoring }}
{{- if .enabled }}
{{- if not .model }}
scoring is enabled and has no model.
{{- end }}
{{- if not .inputs }}
scoring is enabled and has no inputs.
{{- end }}
{{- if not .output }}
scoring is enabled and has no output, a directory or URL that all shards write to.
{{- end }}
{{- if gt (int .parallelism) (int .shards) }}
scoring.parallelism ({{ int .parallelism }}) is more than scoring.shards ({{ int .shards }}).
{{- end }}
{{- $volumes := list "tmp" "model-cache" }}
{{- range default list .extraVolumes }}
{{- if has .name $volumes }}
two volumes of the scoring Job would be called {{ .name | quote }}: choose another name in scoring.extraVolumes.
{{- end }}
{{- $volumes = append $volumes .name }}
{{- end }}
{{- range default list .extraVolumeMounts }}
{{- if not (has .name $volumes) }}
scoring.extraVolumeMounts names a volume {{ .name | quote }} that is not among scoring.extraVolumes.
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- end -}}
