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

{{/* CEL: who asks may run movers, which is a right over the whole cluster. The operator has it, and administrators of the cluster. */}}
{{- define "p861.run" -}}
authorizer.group('platform861.io').resource('movers').check('run').allowed()
{{- end }}

{{/* CEL: who asks may do this to any object of the resource, in the whole cluster. No RoleBinding gives that: it is the operator, a controller of Kubernetes or of the
city, or an administrator. Where each policy allows it, a controller that does what a tenant tells it must not be able to do harm. */}}
{{- define "p861.everywhere" -}}
{'CREATE': ['create'], 'UPDATE': ['patch', 'update'], 'DELETE': ['delete', 'deletecollection']}[request.operation]
.exists(verb, authorizer.group(request.resource.group).resource(request.resource.resource).check(verb).allowed())
{{- end }}

{{/* CEL: a mover asks. Who only says so is refused by the policy p861-mover-requests. */}}
{{- define "p861.mover" -}}
has(request.userInfo.username) && request.userInfo.username.matches('^system:serviceaccount:[^:]+:p861-run-')
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
