{{/* Names are fixed: a cluster has one hub, and the operator knows the roles it binds by name. */}}
{{- define "p861.labels" -}}
app.kubernetes.io/name: p861
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{- define "p861.operatorSelector" -}}
app.kubernetes.io/name: p861
app.kubernetes.io/component: operator
{{- end }}

{{- define "p861.proberSelector" -}}
app.kubernetes.io/name: p861
app.kubernetes.io/component: prober
{{- end }}

{{/* DNS (its pods listen to 5353 on OpenShift) and API servers, wherever they are: an API server is not always an address that an ipBlock means. */}}
{{- define "p861.basicEgress" -}}
- ports:
  - {protocol: UDP, port: 53}
  - {protocol: TCP, port: 53}
  - {protocol: UDP, port: 5353}
  - {protocol: TCP, port: 5353}
- ports:
  - {protocol: TCP, port: 443}
  - {protocol: TCP, port: 6443}
{{- end }}

{{- define "p861.image" -}}
{{ .Values.operator.image.repository }}:{{ .Values.operator.image.tag | default .Chart.AppVersion }}
{{- end }}

{{/* API version of MutatingAdmissionPolicy, or nothing. */}}
{{- define "p861.mutatingVersion" -}}
{{- $wanted := .Values.admission.mutating -}}
{{- if eq $wanted "auto" -}}
{{- if .Capabilities.APIVersions.Has "admissionregistration.k8s.io/v1/MutatingAdmissionPolicy" -}}v1
{{- else if .Capabilities.APIVersions.Has "admissionregistration.k8s.io/v1beta1/MutatingAdmissionPolicy" -}}v1beta1
{{- end -}}
{{- else if ne $wanted "none" -}}{{ $wanted }}
{{- end -}}
{{- end }}
