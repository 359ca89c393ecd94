#!/usr/bin/env bash
# Keep the run of a gate, fetch earlier runs, or say whether an anchor is due. The tool is that of this action's own commit.
set -euo pipefail
tool=$(cd "$GITHUB_ACTION_PATH/../../.." && pwd)
anchor_every=20 # commits: the stated run length between false alarms holds for no fewer

mainstay() {
  uvx --python "${PYTHON_VERSION:-3.11}" --constraints "$tool/constraints/benchmarks.txt" --from "$tool" mainstay "$@"
}

fetch_runs() {
  local address=${GITHUB_SERVER_URL:-https://github.com}/ header
  header="AUTHORIZATION: basic $(printf 'x-access-token:%s' "${GITHUB_TOKEN:-}" | base64 | tr -d '\n')"
  # The checkout keeps no credentials, so this one call gets them, in place of any that another checkout has kept.
  GIT_CONFIG_COUNT=2 GIT_CONFIG_KEY_0=http.$address.extraheader GIT_CONFIG_VALUE_0="" \
    GIT_CONFIG_KEY_1=http.$address.extraheader GIT_CONFIG_VALUE_1=$header mainstay history sync
}

leave() {
  echo "::notice title=history::$1"
  exit 0
}

keep() {
  local run=$RUNNER_TEMP/mainstay-gate/run.json errors status=0
  errors=$(mktemp)
  [[ -f $run ]] || leave "nothing is kept: the gate left no run"
  mainstay history add "$run" --kind "$KIND" 2>"$errors" || status=$?
  cat "$errors" >&2
  if ((status)) && grep -q "not kept: " "$errors"; then
    leave "$(grep -m 1 -o "not kept: .*" "$errors")"
  fi
  if ((status)) && grep -qiE "permission|denied|not (allowed|authorized|granted)|403|read.only" "$errors"; then
    leave "nothing is kept: this job may not write to the repository. A fork needs no such right, since the job of the original adds what is merged"
  fi
  return "$status"
}

sync() {
  fetch_runs || echo "earlier runs do not stand in the reports"
}

due() {
  local release since
  release=$(git describe --tags --abbrev=0 --match 'v*' 2>/dev/null) || leave "no anchor: there is no release yet"
  fetch_runs
  since=$(mainstay history list | awk '$2 == "anchor" && $3 != "withdrawn" { n = 0 } $2 == "main" { n++ } END { print n + 0 }')
  if ((since < anchor_every)); then
    leave "no anchor: $since of $anchor_every commits were kept since the last one"
  fi
  echo "release=$release" >>"$GITHUB_OUTPUT"
}

"$TASK"
