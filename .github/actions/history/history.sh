#!/usr/bin/env bash
# Keep the run of a gate, or say whether an anchor is due. The tool is that of this action's own commit.
set -euo pipefail
tool=$(cd "$GITHUB_ACTION_PATH/../../.." && pwd)
anchor_every=20 # commits: the stated run length between false alarms holds for no fewer

mainstay() {
  uvx --python 3.11 --constraints "$tool/constraints/benchmarks.txt" --from "$tool" mainstay "$@"
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

due() {
  local release since
  release=$(git describe --tags --abbrev=0 --match 'v*' 2>/dev/null) || leave "no anchor: there is no release yet"
  mainstay history sync
  since=$(mainstay history list | awk '$2 == "anchor" && $3 != "withdrawn" { n = 0 } $2 == "main" { n++ } END { print n + 0 }')
  if ((since < anchor_every)); then
    leave "no anchor: $since of $anchor_every commits were kept since the last one"
  fi
  echo "release=$release" >>"$GITHUB_OUTPUT"
}

"$TASK"
