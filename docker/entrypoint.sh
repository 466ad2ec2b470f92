#!/bin/sh
# Prepare the volume, then run the command: folders, the shipped models that are missing, the database.
set -eu

here=$(dirname "$0")/..
mkdir -p "$BIRADS_INSTANCE" "$BIRADS_MODELS"

# A bundle is copied under a hidden name first, so that nobody sees half of one. Models that were trained or
# promoted in the volume stay as they are.
for bundle in "$here"/models/*/; do
    name=$(basename "$bundle")
    [ -f "$bundle/manifest.json" ] || continue
    [ ! -e "$BIRADS_MODELS/$name" ] || continue
    draft=$(mktemp -d "$BIRADS_MODELS/.$name-XXXXXX")
    cp -R "$bundle." "$draft"
    chmod 755 "$draft"
    mv -T "$draft" "$BIRADS_MODELS/$name" || rm -rf "$draft"
done
if [ ! -e "$BIRADS_MODELS/CURRENT" ]; then
    cp "$here/models/CURRENT" "$BIRADS_MODELS/.CURRENT-$$"
    mv "$BIRADS_MODELS/.CURRENT-$$" "$BIRADS_MODELS/CURRENT"
fi

flask db upgrade
exec "$@"
