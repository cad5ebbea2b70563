{{- $mounts := concat (.Values.extraSecretMounts | default list) ((.Values.server | default dict).extraSecretMounts | default list) }}
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ .Release.Name }}
spec:
  replicas: {{ .Values.replicaCount | default 1 }}
  selector:
    matchLabels:
      app: {{ .Release.Name }}
  template:
    metadata:
      labels:
        app: {{ .Release.Name }}
    spec:
      containers:
        - name: main
          image: {{ .Chart.Name }}:{{ ((.Values.jaeger | default .Values).image | default dict).tag | default .Chart.Version }}
          {{- with .Values.extraArgs }}
          args:
            {{- toYaml (kindIs "map" . | ternary (list (toJson .)) .) | nindent 12 }}
          {{- end }}
          {{- with (.Values.jaeger | default dict).extraEnv }}
          env:
            {{- toYaml . | nindent 12 }}
          {{- end }}
          {{- with (.Values.opencost | default dict).prometheus }}
          {{- if .secret_name }}
          env:
            {{- $secret := .secret_name }}
            {{- range $name, $key := dict "DB_BASIC_AUTH_USERNAME" .username_key "DB_BASIC_AUTH_PW" .password_key "DB_BEARER_TOKEN" .bearer_token_key }}
            {{- if $key }}
            - name: {{ $name }}
              valueFrom: {secretKeyRef: {name: {{ $secret }}, key: {{ $key }}}}
            {{- end }}
            {{- end }}
          {{- end }}
          {{- end }}
          envFrom:
            {{- with .Values.extraEnvsFrom }}
            {{- toYaml . | nindent 12 }}
            {{- end }}
            {{- with (.Values.admin | default dict).existingSecret }}
            - secretRef: {name: {{ . }}}
            {{- end }}
            {{- with (.Values.global | default dict).customSecretName }}
            - secretRef: {name: {{ . }}}
            {{- end }}
          volumeMounts:
            {{- range $mounts }}
            - name: {{ .name }}
              mountPath: {{ .mountPath }}
              readOnly: {{ .readOnly }}
              {{- with .subPath }}
              subPath: {{ . }}
              {{- end }}
            {{- end }}
      volumes:
        {{- range $mounts }}
        - name: {{ .name }}
          secret: {secretName: {{ .secretName }}}
        {{- end }}
