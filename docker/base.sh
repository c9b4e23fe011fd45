#!/bin/sh
# Takes out of the base what no container of ours reads: documents (licences stay), translations,
# Perl, glibc's character sets (Python brings its own), and what installs packages for Python.
set -eu
cd /
find usr/share/doc -type f ! -name copyright -delete
rm -rf usr/share/man usr/share/info usr/share/locale usr/share/lintian usr/share/perl* \
    usr/share/python-wheels usr/bin/perl* usr/lib/*/perl* usr/lib/*/gconv usr/lib/perl* \
    var/lib/apt/lists/* var/cache/* var/log/*
for python in usr/lib/python3* usr/local/lib/python3*; do
    for unused in test idlelib lib2to3 ensurepip turtledemo site-packages/pip \
        site-packages/setuptools site-packages/wheel; do
        rm -rf "$python/$unused" "$python/$unused"-*.dist-info
    done
done
test -s etc/ssl/certs/ca-certificates.crt
rm -rf tmp/* && chmod 1777 tmp
