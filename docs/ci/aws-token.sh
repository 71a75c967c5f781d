#!/usr/bin/env bash
# aws-token.sh FILE: the job's own identity token, for AWS (AssumeRoleWithWebIdentity). No key is kept anywhere.
set -euo pipefail
umask 077
curl --silent --show-error --fail --proto '=https' \
  --header "Authorization: bearer $ACTIONS_ID_TOKEN_REQUEST_TOKEN" \
  "$ACTIONS_ID_TOKEN_REQUEST_URL&audience=sts.amazonaws.com" |
  python3 -c 'import json, sys; print(json.load(sys.stdin)["value"], end="")' > "$1.new"
mv "$1.new" "$1"
