#!/bin/sh
# Makes one cluster of the six, once; run again it finds that and does nothing.
set -eu
export REDISCLI_AUTH="${REDIS_PASSWORD:-}"
nodes=""
for i in 0 1 2 3 4 5; do
  host="aiserve-gpuproxy-redis-$i.aiserve-gpuproxy-redis"
  until redis-cli -h "$host" ping | grep -q PONG; do sleep 1; done
  nodes="$nodes $host:6379"
done
if redis-cli -h aiserve-gpuproxy-redis-0.aiserve-gpuproxy-redis cluster info | grep -q cluster_state:ok; then exit 0; fi
# shellcheck disable=SC2086 # One word each.
redis-cli --cluster create $nodes --cluster-replicas 1 --cluster-yes
