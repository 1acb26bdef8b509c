#!/bin/sh
# Unpacks the files of the extension pgmq from the npm package that package-lock.json names, into the folder $1.
set -eu

package=@electric-sql/pglite-pgmq
lock() { node -p "require('./package-lock.json').packages['node_modules/$package'].$1"; }

# Only its warnings and errors, which say why a package cannot be had.
archive=$(npm pack --loglevel=error "$package@$(lock version)")
found="sha512-$(openssl dgst -sha512 -binary "$archive" | base64 -w 0)"
if [ "$found" != "$(lock integrity)" ]; then
  echo "$archive is not the package of package-lock.json: its integrity is $found" >&2
  exit 1
fi
mkdir -p "$1"
tar -xzf "$archive" package/dist/pgmq.tar.gz
tar -xzf package/dist/pgmq.tar.gz -C "$1" --no-same-owner
