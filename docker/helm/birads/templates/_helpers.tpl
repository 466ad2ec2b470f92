{{- define "birads.labels" -}}
app.kubernetes.io/name: birads
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Values.image.tag | default .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}

{{/* Labels that select the pods of a part: (list $ "web"). */}}
{{- define "birads.selector" -}}
app.kubernetes.io/name: birads
app.kubernetes.io/instance: {{ (index . 0).Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end }}

{{/* Environment of all pods. */}}
{{- define "birads.environment" -}}
- {name: BIRADS_INSTANCE, value: /data/instance}
- {name: BIRADS_MODELS, value: {{ ternary "/models" "/app/models" (ne .Values.models.claim "") }}}
- {name: BIRADS_FILES_URL, value: {{ .Values.files.url | quote }}}
- {name: BIRADS_COMPUTE_TIER, value: queue}
{{- range $name, $value := .Values.settings }}
- {name: {{ $name }}, value: {{ $value | quote }}}
{{- end }}
{{- range $name, $key := dict "BIRADS_DATABASE_URL" "database-url" "BIRADS_REDIS_URL" "redis-url" "BIRADS_SECRET_KEY" "secret-key" "BIRADS_SITE_KEY" "site-key" }}
- {name: {{ $name }}, valueFrom: {secretKeyRef: {name: {{ $.Values.secret }}, key: {{ $key }}}}}
{{- end }}
{{- if hasPrefix "s3:" .Values.files.url }}
{{- range $name, $key := dict "AWS_ACCESS_KEY_ID" "aws-access-key-id" "AWS_SECRET_ACCESS_KEY" "aws-secret-access-key" }}
- {name: {{ $name }}, valueFrom: {secretKeyRef: {name: {{ $.Values.secret }}, key: {{ $key }}}}}
{{- end }}
- {name: AWS_DEFAULT_REGION, value: {{ .Values.files.region | quote }}}
{{- if .Values.files.endpoint }}
- {name: AWS_ENDPOINT_URL, value: {{ .Values.files.endpoint | quote }}}
{{- end }}
{{- end }}
{{- end }}

{{/* What all pods share, besides their containers: (list $ SIZE-OF-TMP). */}}
{{- define "birads.pod" -}}
{{- $root := index . 0 -}}
automountServiceAccountToken: false
terminationGracePeriodSeconds: 80
securityContext:
  runAsNonRoot: true
  runAsUser: 10001
  runAsGroup: 10001
  fsGroup: 10001
  seccompProfile: {type: RuntimeDefault}
{{- with $root.Values.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - {name: {{ . }}}
  {{- end }}
{{- end }}
{{- with $root.Values.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $root.Values.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
volumes:
  - {name: data, emptyDir: {sizeLimit: 1Gi}}
  - {name: tmp, emptyDir: {sizeLimit: {{ index . 1 }}}}
  {{- with $root.Values.models.claim }}
  - {name: models, persistentVolumeClaim: {claimName: {{ . }}}}
  {{- end }}
  {{- with $root.Values.files.claim }}
  - {name: files, persistentVolumeClaim: {claimName: {{ . }}}}
  {{- end }}
{{- end }}

{{/* What all containers share. */}}
{{- define "birads.container" -}}
image: "{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}"
imagePullPolicy: {{ .Values.image.pullPolicy }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
volumeMounts:
  - {name: data, mountPath: /data}
  - {name: tmp, mountPath: /tmp}
  {{- if .Values.models.claim }}
  - {name: models, mountPath: /models}
  {{- end }}
  {{- if .Values.files.claim }}
  - {name: files, mountPath: /files}
  {{- end }}
{{- end }}

{{/* Pods of one part on different machines, as far as possible: (list $ "web"). */}}
{{- define "birads.spread" -}}
topologySpreadConstraints:
  - maxSkew: 1
    topologyKey: kubernetes.io/hostname
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels: {{- include "birads.selector" . | nindent 8 }}
{{- end }}
