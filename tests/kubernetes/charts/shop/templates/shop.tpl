apiVersion: v1
kind: ConfigMap
metadata:
  name: {{ .Release.Name }}
data:
  greeting: {{ .Values.greeting | quote }}
  # Values that are meant to be secret end up in strange places.
  dsn: "postgres://shop:{{ .Values.password }}@db/shop"
---
apiVersion: v1
kind: Secret
metadata:
  name: {{ .Release.Name }}
stringData:
  password: {{ .Values.password | quote }}
---
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ .Release.Name }}
spec:
  replicas: {{ .Values.replicas }}
  selector:
    matchLabels:
      app: {{ .Release.Name }}
  template:
    metadata:
      labels:
        app: {{ .Release.Name }}
    spec:
      containers:
        - name: shop
          image: {{ .Values.image }}
          resources:
            requests:
              cpu: {{ .Values.cpu }}
{{- if .Values.shared }}
---
apiVersion: v1
kind: ConfigMap
metadata:
  name: {{ .Values.shared }}
data: {}
{{- end }}
