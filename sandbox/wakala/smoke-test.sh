#!/bin/sh
# The company's smoke test: the service answers, as a customer would use it. WAKALA_URL says where.
# With --minimal it asks once; otherwise ten times.
set -eu
: "${WAKALA_URL:?WAKALA_URL is not set; run: eval \"\$(npm run -s sandbox -- env)\"}"
requests=10
[ "${1:-}" = --minimal ] && requests=1

request=1
while [ "$request" -le "$requests" ]; do
  for path in / /health; do
    if ! curl --fail --silent --show-error --max-time 5 --output /dev/null "$WAKALA_URL$path"; then
      echo "smoke test failed: $WAKALA_URL$path" >&2
      exit 1
    fi
  done
  request=$((request + 1))
done
echo "smoke test passed"
