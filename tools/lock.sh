#!/bin/sh
# Write requirements.lock anew from pyproject.toml: every dependency, the extra `stack`, the group `dev`, and what
# builds and installs the project itself. Needs `uv`. Files are named by their hashes alone, so any index will do.
set -eu
cd "$(dirname "$0")/.."
printf 'pip\nsetuptools>=77\n' |
    uv pip compile pyproject.toml - --extra stack --group dev --universal --python-version 3.11 \
        --generate-hashes --no-emit-index-url --no-header --quiet --output-file requirements.lock "$@"
