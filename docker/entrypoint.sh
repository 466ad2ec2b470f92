#!/bin/sh
# Prepare the volume (folders, missing included models, database), then run the command.
set -eu

here=$(dirname "$0")/..
mkdir -p "$BIRADS_INSTANCE" "$BIRADS_MODELS"

# A bundle is copied under a hidden name first, so that it appears complete. Models trained or promoted in the volume
# are not changed.
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
