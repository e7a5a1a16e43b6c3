{{/* The pod of a scoring Job: (list $ "name of the container" (list arguments) "restart policy") */}}
{{- define "penstock.scoringPod" -}}
{{- $root := index . 0 -}}
{{- with $root.Values.scoring -}}
metadata:
  labels:
    {{- include "penstock.labels" (list $root "scoring") | nindent 4 }}
spec:
  restartPolicy: {{ index $ 3 }}
  serviceAccountName: {{ include "penstock.serviceAccountName" $root | quote }}
  automountServiceAccountToken: {{ $root.Values.serviceAccount.automount }}
  enableServiceLinks: false
  {{- with include "penstock.imagePullSecrets" $root | trim }}{{ nindent 2 . }}{{ end }}
  {{- with include "penstock.podSecurityContext" $root | trim }}{{ nindent 2 . }}{{ end }}
  {{- with include "penstock.scheduling" $root | trim }}{{ nindent 2 . }}{{ end }}
  containers:
    - name: {{ index $ 1 }}
      image: {{ include "penstock.image" $root | quote }}
      imagePullPolicy: {{ $root.Values.image.pullPolicy }}
      args:
        {{- range index $ 2 }}
        - {{ . | quote }}
        {{- end }}
      env:
        {{- with include "penstock.settingsEnv" (list $root "registry" "artifacts" "trust_code" "strict_env") | trim }}{{ nindent 8 . }}{{ end }}
        {{- with include "penstock.registryEnv" $root | trim }}{{ nindent 8 . }}{{ end }}
        - name: PENSTOCK_CACHE
          value: {{ include "penstock.cachePath" $root | quote }}
        - name: HOME
          value: /tmp
        {{- with $root.Values.extraEnv }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      {{- with $root.Values.extraEnvFrom }}
      envFrom:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with .resources }}
      resources:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with include "penstock.securityContext" $root | trim }}{{ nindent 6 . }}{{ end }}
      volumeMounts:
        {{- include "penstock.commonMounts" $root | nindent 8 }}
        {{- with .extraVolumeMounts }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
  volumes:
    {{- include "penstock.tmpVolume" $root | nindent 4 }}
    {{- include "penstock.cacheVolume" $root | nindent 4 }}
    {{- with .extraVolumes }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
{{- end }}
{{- end -}}

{{- define "penstock.shardPod" -}}
{{- $shard := printf "$(JOB_COMPLETION_INDEX)/%d" (int .Values.scoring.shards) -}}
{{- with .Values.scoring -}}
{{- $arguments := concat (list "score" .model) .inputs (list "-o" .output "--shard" $shard "--resume") .extraArgs -}}
{{- include "penstock.scoringPod" (list $ "score" $arguments "Never") -}}
{{- end -}}
{{- end -}}

{{- define "penstock.finishPod" -}}
{{- with .Values.scoring -}}
{{- $arguments := concat (list "score" "--finish" "-o" .output) .finishArgs -}}
{{- include "penstock.scoringPod" (list $ "finish" $arguments "OnFailure") -}}
{{- end -}}
{{- end -}}

{{/* A Job cannot be changed: one that would do something else gets another name, and any other upgrade leaves it alone. */}}
{{- define "penstock.scoringHash" -}}
{{- $spec := list (include "penstock.shardPod" .) (include "penstock.finishPod" .) (omit .Values.scoring "enabled" "annotations") -}}
{{- toJson $spec | replace (printf "%s-%s" .Chart.Name .Chart.Version) "" | sha256sum | trunc 8 -}}
{{- end -}}

{{- define "penstock.scoringTimes" -}}
{{- with .Values.scoring.activeDeadlineSeconds }}
activeDeadlineSeconds: {{ int . }}
{{- end }}
{{- with .Values.scoring.ttlSecondsAfterFinished }}
ttlSecondsAfterFinished: {{ int . }}
{{- end }}
{{- end -}}
