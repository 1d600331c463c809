{{- define "ordermill.name" -}}
{{- if eq .Release.Name "ordermill" -}}
ordermill-operator
{{- else -}}
{{- printf "%s-ordermill-operator" .Release.Name | trunc 63 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "ordermill.selector" -}}
app.kubernetes.io/name: ordermill-operator
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "ordermill.labels" -}}
{{ include "ordermill.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}
