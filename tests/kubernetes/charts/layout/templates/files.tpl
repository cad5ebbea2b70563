apiVersion: v1
kind: ConfigMap
metadata:
  name: {{ .Release.Name }}
data:
  values.json: {{ toJson .Values | quote }}
{{- with .Values.server }}
{{- range $key, $value := $.Values.serverFiles }}
  {{ $key }}: |
    {{- if eq $key "prometheus.yml" }}
    global:
      {{- toYaml $.Values.server.global | nindent 6 }}
    {{- with $.Values.server.remoteWrite }}
    remote_write:
      {{- toYaml . | nindent 6 }}
    {{- end }}
    {{- with $.Values.server.alertmanagers }}
    alerting:
      alertmanagers:
        {{- toYaml . | nindent 8 }}
    {{- end }}
    {{- end }}
    {{- toYaml $value | nindent 4 }}
{{- end }}
{{- end }}
{{- with .Values.userconfig }}
  user-config.yaml: |
    {{- toYaml . | nindent 4 }}
{{- end }}
{{- with .Values.alternateConfig }}
  relay: |
    {{- tpl (toYaml .) $ | nindent 4 }}
{{- end }}
{{- range $name, $value := .Values.dashboardProviders }}
  {{ $name }}: |
    {{- toYaml $value | nindent 4 }}
{{- end }}
{{- range $provider, $dashboards := .Values.dashboards }}
---
apiVersion: v1
kind: ConfigMap
metadata:
  name: {{ $.Release.Name }}-dashboards-{{ $provider }}
data:
  {{- range $name, $value := $dashboards }}
  {{ $name }}.json: |-
    {{- $value.json | nindent 4 }}
  {{- end }}
{{- end }}
{{- with (.Values.opencost | default dict).customPricing }}
{{- if and .enabled .createConfigmap }}
---
apiVersion: v1
kind: ConfigMap
metadata:
  name: custom-pricing-model
data:
  default.json: |-
    {
    {{- range $name, $value := .costModel }}
      {{ $name | quote }}: {{ $value | quote }},
    {{- end }}
      "provider": {{ .provider | quote }}
    }
{{- end }}
{{- end }}
