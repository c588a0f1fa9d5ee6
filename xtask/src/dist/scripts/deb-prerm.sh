#!/bin/sh
set -e
# What is to be removed neither runs on nor is started at boot.
if [ "$1" = remove ] && command -v systemctl >/dev/null; then
    if [ -d /run/systemd/system ]; then
        systemctl --quiet --no-reload disable --now @UNITS@ || true
    else
        systemctl --quiet --no-reload disable @UNITS@ || true
    fi
fi
