"""User data is read strictly: what cloud-init would only log is refused here, with its place."""

import base64
import gzip

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.guests.cloud_init import UserDataRefused, parse_user_data


def test_a_usual_cloud_config_is_read() -> None:
    data = parse_user_data(
        "#cloud-config\n"
        "hostname: c1-cp-0.example\n"
        "package_update: true\n"
        "packages: [qemu-guest-agent, [curl, '7.0']]\n"
        "write_files:\n"
        "- {path: /etc/a, permissions: '0600', content: hello}\n"
        "runcmd:\n"
        "- [systemctl, enable, --now, qemu-guest-agent]\n"
        "- sh /opt/install.sh\n"
    )

    assert data.hostname == "c1-cp-0"
    assert data.packages == ("qemu-guest-agent", "curl")
    assert data.run_commands == (("systemctl", "enable", "--now", "qemu-guest-agent"), "sh /opt/install.sh")
    [file] = data.files
    assert (file.path, file.content, file.mode, file.append) == ("/etc/a", b"hello", 0o600, False)


@pytest.mark.parametrize(
    ("encoding", "encoded"),
    [
        ("b64", base64.b64encode(b"body").decode()),
        ("base64", base64.b64encode(b"body").decode()),
        ("gzip+b64", base64.b64encode(gzip.compress(b"body", mtime=0)).decode()),
        ("gz+base64", base64.b64encode(gzip.compress(b"body", mtime=0)).decode()),
        ("text/plain", "body"),
    ],
)
def test_every_encoding_of_a_file_is_decoded(encoding: str, encoded: str) -> None:
    data = parse_user_data(f"#cloud-config\nwrite_files: [{{path: /a, encoding: {encoding}, content: {encoded!r}}}]\n")

    assert data.files[0].content == b"body"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("hostname: a\n", "must start with the line #cloud-config"),
        ("#!/bin/sh\necho\n", "must start with the line #cloud-config"),
        ("#cloud-config\nrun_cmd: []\n", "unknown top-level keys run_cmd"),
        ("#cloud-config\nruncmd: []\nruncmd: []\n", "twice"),
        ("#cloud-config\n- a\n", "must be a mapping"),
        ("#cloud-config\na: [\n", "not valid YAML"),
        ("#cloud-config\nwrite_files: {path: /a}\n", "write_files: must be a list"),
        ("#cloud-config\nwrite_files: [{path: a}]\n", "absolute path"),
        ("#cloud-config\nwrite_files: [{path: /a/../b}]\n", "absolute path"),
        ("#cloud-config\nwrite_files: [{path: /a, mode: '0600'}]\n", "unknown keys mode"),
        ("#cloud-config\nwrite_files: [{path: /a, permissions: 0600}]\n", "permissions: must be a string"),
        ("#cloud-config\nwrite_files: [{path: /a, permissions: '0888'}]\n", "not octal"),
        ("#cloud-config\nwrite_files: [{path: /a, encoding: b64, content: '%%%'}]\n", "is not b64"),
        ("#cloud-config\nwrite_files: [{path: /a, encoding: gzip+b64, content: aGVsbG8=}]\n", "is not gzip+b64"),
        ("#cloud-config\nwrite_files: [{path: /a, encoding: rot13, content: a}]\n", "'rot13' is unknown"),
        ("#cloud-config\nruncmd: [[sleep, 1]]\n", "runcmd[0]"),
        ("#cloud-config\nruncmd: [{a: b}]\n", "runcmd[0]"),
        ("#cloud-config\npackages: [nginx, 1.2]\n", "packages[1]"),
        ("#cloud-config\npackage_update: 'yes'\n", "package_update: must be true or false"),
        ("#cloud-config\nssh_authorized_keys: [key]\n", "ssh_authorized_keys[0]"),
        ("#cloud-config\nusers: [{sudo: x}]\n", "users[0]"),
        ("#cloud-config\nhostname: [a]\n", "hostname: must be a string"),
    ],
)
def test_user_data_that_cloud_init_would_not_carry_out_is_refused(text: str, told: str) -> None:
    with pytest.raises(UserDataRefused) as refusal:
        parse_user_data(text)

    assert told in str(refusal.value)


def test_a_truncated_gzip_is_refused() -> None:
    cut = base64.b64encode(gzip.compress(b"body" * 100)[:-12]).decode()

    with pytest.raises(UserDataRefused, match="cut off"):
        parse_user_data(f"#cloud-config\nwrite_files: [{{path: /a, encoding: gzip+b64, content: {cut!r}}}]\n")


@given(st.text(max_size=200))
def test_any_text_is_read_or_refused_by_name(text: str) -> None:
    try:
        parse_user_data("#cloud-config\n" + text)
    except UserDataRefused:
        return
