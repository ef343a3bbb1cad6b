{{- define "rynxs.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- define "rynxs.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else if contains (include "rynxs.name" .) .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "rynxs.name" .) | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* Names of cluster-scoped objects: two releases of one name in two namespaces must not meet. */}}
{{- define "rynxs.clusterName" -}}
{{- printf "%s.%s" .Release.Namespace (include "rynxs.fullname" .) -}}
{{- end -}}

{{- define "rynxs.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "rynxs.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- required "serviceAccount.create is false: set serviceAccount.name to one that exists" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "rynxs.selector" -}}
app.kubernetes.io/name: {{ include "rynxs.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "rynxs.labels" -}}
{{ include "rynxs.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "rynxs.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ .Values.image.tag }}
{{- end -}}
{{- end -}}

{{- define "rynxs.minio.fullname" -}}
{{ include "rynxs.fullname" . }}-minio
{{- end -}}

{{- define "rynxs.minio.secret" -}}
{{ default (include "rynxs.minio.fullname" .) .Values.minio.existingSecret }}
{{- end -}}

{{- define "rynxs.s3.endpoint" -}}
{{- if .Values.logSink.s3.endpoint -}}
{{ .Values.logSink.s3.endpoint }}
{{- else if .Values.minio.enabled -}}
http://{{ include "rynxs.minio.fullname" . }}.{{ .Release.Namespace }}.svc:9000
{{- end -}}
{{- end -}}

{{- define "rynxs.leaseName" -}}
{{ include "rynxs.fullname" . }}-leader
{{- end -}}

{{- define "rynxs.onMissingLog" -}}
{{- $lost := and (eq .Values.logSink.type "file") (not .Values.persistence.enabled) -}}
{{ default (ternary "adopt" "refuse" $lost) .Values.logSink.onMissingLog }}
{{- end -}}

{{/* `storageClassName` of a claim: the default class if empty, no class if "-". */}}
{{- define "rynxs.storageClass" -}}
{{- if eq . "-" }}
storageClassName: ""
{{- else if . }}
storageClassName: {{ . | quote }}
{{- end }}
{{- end -}}

{{/* Whether the API server evaluates admission policies: "yes" or nothing. */}}
{{- define "rynxs.hasPolicies" -}}
{{- if or (.Capabilities.APIVersions.Has "admissionregistration.k8s.io/v1/ValidatingAdmissionPolicy") (semverCompare ">=1.30.0-0" .Capabilities.KubeVersion.Version) -}}
yes
{{- end -}}
{{- end -}}

{{/* What cannot work is refused here, in words. */}}
{{- define "rynxs.check" -}}
{{- $replicas := int .Values.replicaCount -}}
{{- if and (gt $replicas 1) (eq .Values.logSink.type "file") -}}
{{- fail (printf "replicaCount is %d and logSink.type is file: a log in a file has one writer. Set logSink.type=s3 with a bucket, or replicaCount=1" $replicas) -}}
{{- end -}}
{{- if and (gt $replicas 1) (not .Values.leaderElection.enabled) -}}
{{- fail (printf "replicaCount is %d and leaderElection.enabled is false: every replica would lead. Set leaderElection.enabled=true, or replicaCount=1" $replicas) -}}
{{- end -}}
{{- if eq .Values.logSink.type "s3" -}}
{{- if not .Values.logSink.s3.bucket -}}
{{- fail "logSink.type is s3 and logSink.s3.bucket is empty: name the bucket of the log" -}}
{{- end -}}
{{- if not .Values.logSink.s3.accessKeySecret -}}
{{- fail "logSink.type is s3 and logSink.s3.accessKeySecret is empty: name a Secret with AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY" -}}
{{- end -}}
{{- end -}}
{{- if and .Values.metrics.serviceMonitor.enabled (not .Values.metrics.enabled) -}}
{{- fail "metrics.serviceMonitor.enabled is true and metrics.enabled is false: there would be nothing to scrape" -}}
{{- end -}}
{{- if and .Values.metrics.prometheusRule.enabled (not .Values.metrics.enabled) -}}
{{- fail "metrics.prometheusRule.enabled is true and metrics.enabled is false: the alerts would never have data" -}}
{{- end -}}
{{- if and .Values.metrics.prometheusRule.enabled (not .Values.metrics.serviceMonitor.enabled) -}}
{{- fail "metrics.prometheusRule.enabled is true and metrics.serviceMonitor.enabled is false: the alerts select the job that the ServiceMonitor names" -}}
{{- end -}}
{{- include "rynxs.checkLease" . -}}
{{- include "rynxs.checkOthers" . -}}
{{- end -}}

{{/* The inequalities that the operator checks at its start, as far as spans are whole seconds:
     request timeout 2 s, grace 3 s, clocks that differ by 5 % each. */}}
{{- define "rynxs.checkLease" -}}
{{- with .Values.leaderElection -}}
{{- $spans := list .leaseDuration .renewDeadline .retryPeriod -}}
{{- if and .enabled (regexMatch "^([0-9]+s ){2}[0-9]+s$" (join " " $spans)) -}}
{{- $lease := trimSuffix "s" .leaseDuration | float64 -}}
{{- $renew := trimSuffix "s" .renewDeadline | float64 -}}
{{- $retry := trimSuffix "s" .retryPeriod | float64 -}}
{{- if ge (mulf (addf $renew 3) 1.1025) $lease -}}
{{- fail (printf "leaderElection.leaseDuration %s is too short for renewDeadline %s: it must be longer than (renewDeadline + 3s) * 1.1025" .leaseDuration .renewDeadline) -}}
{{- end -}}
{{- if ge (addf (mulf $retry 1.2) 2) $renew -}}
{{- fail (printf "leaderElection.renewDeadline %s is too short for retryPeriod %s: it must be longer than retryPeriod * 1.2 + 2s" .renewDeadline .retryPeriod) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Another release that runs the same Agents; looks only where this one has rights anyway. */}}
{{- define "rynxs.checkOthers" -}}
{{- $found := list -}}
{{- if .Values.watchNamespaces -}}
{{- range $namespace := .Values.watchNamespaces -}}
{{- $found = concat $found (default (list) (lookup "rbac.authorization.k8s.io/v1" "Role" $namespace "").items) -}}
{{- end -}}
{{- else -}}
{{- $found = concat $found (default (list) (lookup "rbac.authorization.k8s.io/v1" "ClusterRole" "" "").items) -}}
{{- $found = concat $found (default (list) (lookup "rbac.authorization.k8s.io/v1" "Role" "" "").items) -}}
{{- end -}}
{{- range $object := $found -}}
{{- $labels := default (dict) $object.metadata.labels -}}
{{- $notes := default (dict) $object.metadata.annotations -}}
{{- if and (hasPrefix "rynxs-" (default "" (index $labels "helm.sh/chart"))) (contains "." $object.metadata.name) -}}
{{- $release := default "" (index $notes "meta.helm.sh/release-name") -}}
{{- $namespace := default "" (index $notes "meta.helm.sh/release-namespace") -}}
{{- if or (ne $release $.Release.Name) (ne $namespace $.Release.Namespace) -}}
{{- fail (printf "release %s in namespace %s runs Agents that this release would run, too: uninstall it, or give both releases watchNamespaces that do not meet" $release $namespace) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
