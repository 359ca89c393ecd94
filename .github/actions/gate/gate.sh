#!/usr/bin/env bash
# Gate what the event is about. The tool is that of this action's own commit, so whoever pins the action pins the tool.
set -euo pipefail
tool=$(cd "$GITHUB_ACTION_PATH/../../.." && pwd)

# A pull request is compared with the first parent of its merge commit, which the gate finds by itself.
baseline=()
case ${GITHUB_EVENT_NAME:-} in
  merge_group)
    baseline=(--baseline "$MERGE_GROUP_BASE")
    ;;
  push)
    # Of a new branch, or after a push by force, there is nothing before: the gate takes its default.
    if [[ -n ${PUSHED_BEFORE:-} ]] && git cat-file -e "$PUSHED_BEFORE^{commit}" 2>/dev/null; then
      baseline=(--baseline "$PUSHED_BEFORE")
    fi
    ;;
esac

read -r -a arguments <<<"${ARGUMENTS:-}"
reports=$RUNNER_TEMP/mainstay-gate
mkdir -p "$reports"
exec uvx --python "$PYTHON_VERSION" --constraints "$tool/constraints/benchmarks.txt" --from "$tool" \
  mainstay gate --json "$reports/run.json" --markdown "$reports/report.md" --html "$reports/report.html" \
  ${baseline[@]+"${baseline[@]}"} ${arguments[@]+"${arguments[@]}"}
