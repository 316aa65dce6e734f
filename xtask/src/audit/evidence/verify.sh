#!/bin/sh
# Verifies this folder with sha256sum, openssl, grep, cmp and sed alone. Run it in the folder: sh verify.sh
# What it cannot know: whether keys/ are the keys that you trust. Compare them with those that you have.
set -eu
fail() { echo "WRONG: $*" >&2; exit 1; }
digest() { sha256sum "$1" | cut -d' ' -f1; }

# 1. No file was changed since the audit. Somebody who changes files can write this list anew: keep its digest elsewhere.
sha256sum --check --quiet SHA256SUMS || fail "a file is not the one of SHA256SUMS"

# 2. Each end of a deployment is the one that the next deployment began after.
for entry in environments/*/*/ledger/*/*.ended.json; do
    [ -e "$entry" ] || continue
    folder=${entry%/*}
    name=${entry##*/}
    number=${name%%.*}
    before="$folder/$(printf '%010d' $((${number#${number%%[!0]*}} + 1))).ended.json"
    previous=$(sed -n 's/^  "previous": "sha256:\([0-9a-f]*\)",*$/\1/p' "$entry")
    [ -z "$previous" ] && continue
    [ -e "$before" ] || fail "$before is missing"
    [ "$previous" = "$(digest "$before")" ] || fail "$before is not the entry that $entry names"
done

for lambda in environments/*/*/functions/*/lambda.json; do
    [ -e "$lambda" ] || continue
    function=${lambda%/lambda.json}
    [ -e "$function/manifest.json" ] || { echo "unproven: $function has no manifest"; continue; }
    manifest=$(digest "$function/manifest.json")
    code=$(sed -n 's/^ *"code_sha256": "\(.*\)",*$/\1/p' "$lambda")
    # 3. Lambda runs these bytes: its CodeSha256 is that of the artifact, which the manifest names.
    if [ -e "$function/artifact.zip" ]; then
        [ "$code" = "$(openssl dgst -sha256 -binary "$function/artifact.zip" | openssl base64 -A)" ] || fail "$function runs other bytes"
        grep -q "\"sha256:$(digest "$function/artifact.zip")\"" "$function/manifest.json" || fail "$function: the manifest names other bytes"
    elif [ -e "$function/image-manifest.json" ]; then
        [ "$code" = "$(digest "$function/image-manifest.json")" ] || fail "$function runs another image"
        grep -q "\"sha256:$code\"" "$function/manifest.json" || fail "$function: the manifest names another image"
    else
        fail "$function has no artifact"
    fi
    # 4. The ledger names this manifest.
    grep -q "\"sha256:$manifest\"" "${function%/functions/*}"/ledger/*/*.ended.json || fail "$function: no entry names its manifest"
    # 5. A trusted key signed a statement that names manifest and artifact.
    [ -e "$function/key" ] || { echo "unproven: $function has no signature by a trusted key"; continue; }
    key="${function%/*/functions/*}/keys/$(cat "$function/key").pem"
    [ "$(cat "$function/key")" = "$(openssl pkey -pubin -in "$key" -outform DER | sha256sum | cut -d' ' -f1)" ] || fail "$key has another id"
    { printf 'DSSEv1 28 application/vnd.in-toto+json %d ' "$(wc -c < "$function/statement.json")"; cat "$function/statement.json"; } |
        cmp -s - "$function/signed" || fail "$function: other bytes were signed than its statement"
    openssl dgst -sha256 -verify "$key" -signature "$function/signature.der" "$function/signed" > /dev/null || fail "$function: the signature"
    grep -q "\"sha256\":\"$manifest\"" "$function/statement.json" || fail "$function: the statement is about another manifest"
    echo "proven: $function runs release $manifest, signed by $(cat "$function/key")"
done
echo "Every file and every signature is as the audit found it."
