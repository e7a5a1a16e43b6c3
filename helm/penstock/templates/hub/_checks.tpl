{{/* What contradicts itself about the hub, and about what a release has at all. One sentence a line. */}}

{{- define "penstock.findings.components" -}}
{{- if not (or .Values.gateway.enabled .Values.hub.enabled .Values.scoring.enabled) }}
gateway, hub and scoring are all disabled: there is nothing to install.
{{- end }}
{{- if not .Values.gateway.enabled }}
{{- range $name, $enabled := dict "autoscaling" .Values.autoscaling.enabled "keda" .Values.keda.enabled "ingress" .Values.ingress.enabled "route.main" .Values.route.main.enabled }}
{{- if $enabled }}
{{ $name }} is enabled, and gateway.enabled is false: there is no gateway for it.
{{- end }}
{{- end }}
{{- end }}
{{- if and .Values.hub.followed (not .Values.hub.enabled) }}
hub.followed is set, and hub.enabled is false: name a hub elsewhere in settings.registry.
{{- end }}
{{- end -}}

{{- define "penstock.findings.hub" -}}
{{- if .Values.hub.enabled }}
{{- include "penstock.findings.hub.store" . }}
{{- include "penstock.findings.hub.access" . }}
{{- include "penstock.findings.hub.pod" . }}
{{- include "penstock.findings.ways" (list "hub." .Values.hub.service .Values.hub.ingress .Values.hub.route.main) }}
{{- end }}
{{- end -}}

{{- define "penstock.findings.hub.store" -}}
{{- with .Values.hub.store }}
{{- if and .url .existingSecret .urlKey }}
hub.store.url and hub.store.urlKey both name a database: leave one out.
{{- end }}
{{- if regexMatch "://[^/@]*:[^/@]*@" .url }}
hub.store.url has a password in it: put the URL into a Secret (hub.store.existingSecret, hub.store.urlKey).
{{- end }}
{{- if and .existingSecret (not (or .urlKey .usernameKey .passwordKey)) }}
hub.store.existingSecret names no key: set urlKey, or usernameKey and passwordKey.
{{- end }}
{{- if and (or .urlKey .usernameKey .passwordKey) (not .existingSecret) }}
hub.store has keys and no existingSecret to find them in.
{{- end }}
{{- if and .existingSecret (or .usernameKey .passwordKey) (not (or .url .urlKey)) }}
hub.store has credentials and no database: set url, postgresql://host/database, or urlKey.
{{- end }}
{{- end }}
{{- if and (gt (int .Values.hub.workers) 1) (not (include "penstock.hub.postgres" .)) }}
hub.workers is {{ int .Values.hub.workers }}, and the store is SQLite, to which one process writes: name a PostgreSQL in hub.store, or use one worker.
{{- end }}
{{- if gt (int .Values.hub.replicaCount) 1 }}
{{- if not (include "penstock.hub.postgres" .) }}
hub.replicaCount is {{ int .Values.hub.replicaCount }}, and the store is SQLite, to which one process writes: name a PostgreSQL in hub.store, or use one pod.
{{- else if include "penstock.hub.single" . }}
hub.replicaCount is {{ int .Values.hub.replicaCount }}, and files are on a claim that pods of one node write to: name an object store in hub.artifacts, set hub.persistence.accessModes to ReadWriteMany, or use one pod.
{{- end }}
{{- end }}
{{- end -}}

{{- define "penstock.findings.hub.access" -}}
{{- with .Values.hub }}
{{- if and (not .auth.existingSecret) (not .openToEverybody) }}
hub is enabled and nobody could get in: name a Secret with a token in hub.auth.existingSecret, or set hub.openToEverybody.
{{- end }}
{{- if and .auth.existingSecret .openToEverybody }}
hub.openToEverybody asks for no tokens, and hub.auth has some: leave one out.
{{- end }}
{{- $keys := compact (list .auth.adminKey .auth.promoteKey .auth.writeKey .auth.readKey) }}
{{- if ne (len $keys) (len (uniq $keys)) }}
hub.auth names one key for two roles: each needs a token of its own.
{{- end }}
{{- if and .auth.existingSecret (not .auth.readKey) (or $.Values.serviceMonitor.enabled .followed) }}
hub.auth.readKey is not set, and {{ ternary "gateways that follow the hub need" "serviceMonitor needs" .followed }} a token that may read.
{{- end }}
{{- if and .followed (or $.Values.settings.registry $.Values.registry.existingSecret) }}
hub.followed makes the hub the registry, and {{ ternary "settings.registry" "registry.existingSecret" (ne (default "" $.Values.settings.registry) "") }} names another: leave one out.
{{- end }}
{{- range .extraEnv }}
{{- if has .name (list "PENSTOCK_STORE" "PENSTOCK_ARTIFACTS" "PENSTOCK_HUB_HOST" "PENSTOCK_HUB_PORT" "PENSTOCK_HUB_OPEN_TO_EVERYBODY" "PENSTOCK_HUB_ALLOWED_HOSTS" "PENSTOCK_DRAIN_DELAY" "PENSTOCK_DRAIN_TIMEOUT" "PENSTOCK_LOG_FORMAT" "PENSTOCK_HUB_WORKERS") }}
hub.extraEnv sets {{ .name }}, which the chart computes with: use the values of hub.
{{- end }}
{{- if regexMatch "^PENSTOCK_HUB_[A-Z]+_TOKEN$" .name }}
hub.extraEnv sets {{ .name }}: use hub.auth, which keeps it in a Secret.
{{- end }}
{{- if and (has .name (list "PGUSER" "PGPASSWORD")) $.Values.hub.store.existingSecret }}
hub.extraEnv sets {{ .name }}, and hub.store.existingSecret is set too: use one of them.
{{- end }}
{{- if and (has .name (list "AWS_ACCESS_KEY_ID" "AWS_SECRET_ACCESS_KEY" "AWS_SESSION_TOKEN")) (or $.Values.s3.existingSecret $.Values.hub.s3.existingSecret) }}
hub.extraEnv sets {{ .name }}, and {{ ternary "hub.s3" "s3" (ne $.Values.hub.s3.existingSecret "") }}.existingSecret is set too: use one of them.
{{- end }}
{{- if and .value .valueFrom }}
hub.extraEnv: {{ .name }} has a value and a valueFrom: only one can be.
{{- end }}
{{- end }}
{{- range .extraArgs }}
{{- if regexMatch "^(--store|--artifacts|--host|--port|--allowed-host|--open-to-everybody|--drain-delay|--drain-timeout|--log-format|--workers|-w)(=|$)" . }}
hub.extraArgs has {{ . }}, which the chart computes with: use the values of hub.
{{- end }}
{{- end }}
{{- end }}
{{- end -}}

{{- define "penstock.findings.hub.pod" -}}
{{- with .Values.hub }}
{{- if has .host (list "localhost" "::1" "127.0.0.1") }}
hub.host is {{ .host | quote }}: nothing outside the pod could reach the hub; use 0.0.0.0, or :: for IPv6.
{{- end }}
{{- $last := addf (float64 .drainDelay) (float64 .drainTimeout) 5 }}
{{- if lt (float64 .terminationGracePeriodSeconds) $last }}
hub.terminationGracePeriodSeconds ({{ int .terminationGracePeriodSeconds }}) is too short: a pod may need {{ $last }} seconds to drain (drainDelay {{ .drainDelay }} + drainTimeout {{ .drainTimeout }} + 5), and would be killed with requests in flight.
{{- end }}
{{- include "penstock.findings.budget" (list $ "hub." .podDisruptionBudget (toString (int .replicaCount))) }}
{{- include "penstock.findings.probes" (list "hub." .) }}
{{- $volumes := list "tmp" }}
{{- $paths := list "/tmp" }}
{{- if include "penstock.hub.claimed" $ }}
{{- $volumes = append $volumes "data" }}
{{- $paths = append $paths (include "penstock.hub.directory" $) }}
{{- end }}
{{- include "penstock.findings.containers" (list "hub." "hub" . $volumes $paths) }}
{{- range $label, $_ := .podLabels }}
{{- if has $label (list "app.kubernetes.io/name" "app.kubernetes.io/instance" "app.kubernetes.io/component") }}
hub.podLabels sets {{ $label }}, which the Service and the Deployment select by: leave it out.
{{- end }}
{{- end }}
{{- end }}
{{- end -}}
