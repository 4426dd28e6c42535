"""The release table: what is shipped, what an operator adds or replaces, what is refused, which upgrades are allowed."""

from pathlib import Path

import pytest

from hub.provisioning.bootstrap.releases import (
    Artifact,
    Release,
    ReleasesInvalid,
    ReleaseUnknown,
    find_latest,
    find_release,
    find_upgrade_refusal,
    get_release,
    load_releases,
    upgrade_allowed,
)

SHA = "0123456789abcdef" * 4


@pytest.fixture
def own_table(tmp_path: Path) -> Path:
    return tmp_path / "releases.yaml"


def test_the_shipped_table_has_three_minors_of_both_distributions_newest_first() -> None:
    table = load_releases()
    for name in ("k3s", "rke2"):
        releases = [release for release in table if release.distribution == name]
        assert releases == sorted(releases, reverse=True)
        assert {release.kubernetes_minor for release in releases} == {"1.33", "1.34", "1.35"}


def test_sec74_every_shipped_artifact_can_be_checked() -> None:
    for release in load_releases():
        assert set(release.artifacts) == {"amd64", "arm64"}
        for artifact in release.artifacts.values():
            assert artifact.sha256 or str(artifact.checksums_url).startswith("https://")


def test_a_shipped_release_knows_where_it_lies() -> None:
    release = get_release(load_releases(), "rke2", "v1.35.7+rke2r1")
    base = "https://github.com/rancher/rke2/releases/download/v1.35.7%2Brke2r1"
    assert release.artifacts["arm64"] == Artifact(
        f"{base}/rke2.linux-arm64.tar.gz", None, f"{base}/sha256sum-arm64.txt"
    )


def test_an_unknown_version_is_told_with_the_known_ones() -> None:
    assert find_release(load_releases(), "k3s", "v1.2.3+k3s1") is None
    with pytest.raises(ReleaseUnknown, match=r"v1\.2\.3") as refused:
        get_release(load_releases(), "k3s", "v1.2.3+k3s1")
    assert refused.value.known[0] == "v1.35.5+k3s1"


@pytest.mark.parametrize(
    ("channel", "version"),
    [("stable", "v1.35.7+rke2r1"), ("v1.34", "v1.34.10+rke2r1"), ("v1.33", "v1.33.13+rke2r2")],
)
def test_a_channel_points_at_its_newest_release(channel: str, version: str) -> None:
    release = find_latest(load_releases(), "rke2", channel)
    assert release is not None
    assert release.version == version


def test_a_channel_nobody_is_in_points_at_nothing() -> None:
    assert find_latest(load_releases(), "k3s", "v1.99") is None


def test_an_operators_release_is_added_and_one_of_the_same_version_wins(own_table: Path) -> None:
    own_table.write_text(
        "releases:\n"
        f"- {{distribution: k3s, version: v1.36.1+k3s1, channels: [stable], sha256: {{amd64: {SHA}}}}}\n"
        f"- {{distribution: k3s, version: v1.35.5+k3s1, sha256: {{amd64: {SHA}, arm64: {SHA}}}}}\n"
    )
    table = load_releases(own_table)
    assert len(table) == len(load_releases()) + 1
    assert get_release(table, "k3s", "v1.35.5+k3s1").artifacts["amd64"].sha256 == SHA
    assert find_latest(table, "k3s", "stable") == get_release(table, "k3s", "v1.36.1+k3s1")
    assert find_latest(table, "rke2", "stable") is not None


def test_an_operators_mirror_moves_every_release(own_table: Path) -> None:
    own_table.write_text(
        "distributions:\n  k3s:\n    source: https://mirror.example/{version}/{file}\n"
        "    checksums: https://mirror.example/{version}/{architecture}.sums\n"
    )
    artifact = get_release(load_releases(own_table), "k3s", "v1.35.1+k3s1").artifacts["arm64"]
    assert artifact == Artifact(
        "https://mirror.example/v1.35.1%2Bk3s1/k3s-arm64", None, "https://mirror.example/v1.35.1%2Bk3s1/arm64.sums"
    )


def test_an_operators_table_may_stand_alone(own_table: Path) -> None:
    own_table.write_text("replace: true\nreleases: [{distribution: rke2, version: v1.35.6+rke2r1}]\n")
    assert [release.version for release in load_releases(own_table)] == ["v1.35.6+rke2r1"]


def test_a_pinned_sum_makes_plain_http_good_enough(own_table: Path) -> None:
    own_table.write_text(
        "replace: true\n"
        "distributions: {k3s: {source: 'http://10.0.0.9/{file}', files: {amd64: k3s}}}\n"
        f"releases: [{{distribution: k3s, version: v1.35.1+k3s1, sha256: {{amd64: {SHA}}}}}]\n"
    )
    (release,) = load_releases(own_table)
    assert release.artifacts == {"amd64": Artifact("http://10.0.0.9/k3s", SHA, None)}


K3S = "distribution: k3s, version: v1.36.1+k3s1"


@pytest.mark.parametrize(
    ("text", "pointer"),
    [
        ("- 1", ""),
        ("releases: {}", "/releases"),
        ("releases: [7]", "/releases/0"),
        ("mirrors: {}", "/mirrors"),
        ("replace: maybe", "/replace"),
        ("1: 2", ""),
        ("distributions: {k0s: {}}", "/distributions/k0s"),
        ("distributions: {k3s: {files: {s390x: k3s}}}", "/distributions/k3s/files/s390x"),
        ("distributions: {k3s: {files: {amd64: ../k3s}}}", "/distributions/k3s/files/amd64"),
        ("distributions: {k3s: {source: 5}}", "/distributions/k3s/source"),
        ("releases: [{distribution: k0s, version: v1.36.1+k3s1}]", "/releases/0/distribution"),
        ("releases: [{distribution: k3s}]", "/releases/0/version"),
        ("releases: [{distribution: k3s, version: 1.36}]", "/releases/0/version"),
        ("releases: [{distribution: k3s, version: v1.36.1+rke2r1}]", "/releases/0/version"),
        ("releases: [{distribution: k3s, version: v1.36.1-rc1+k3s1}]", "/releases/0/version"),
        ('releases: [{distribution: k3s, version: "v1.36.1+k3s1\\n"}]', "/releases/0/version"),
        (f"releases: [{{{K3S}, channels: stable}}]", "/releases/0/channels"),
        (f"releases: [{{{K3S}, channels: [A b]}}]", "/releases/0/channels"),
        (f"releases: [{{{K3S}, sha256: {{amd64: abc}}}}]", "/releases/0/sha256/amd64"),
        (f"releases: [{{{K3S}, sha256: {{mips: abc}}}}]", "/releases/0/sha256/mips"),
        (f"releases: [{{{K3S}, colour: red}}]", "/releases/0/colour"),
        (f"releases: [{{{K3S}, source: null}}]", "/releases/0/source"),
        (f"releases: [{{{K3S}, source: 5}}]", "/releases/0/source"),
        (f"replace: true\ndistributions: {{k3s: {{}}}}\nreleases: [{{{K3S}}}]", "/releases/0"),
        (f"releases: [{{{K3S}, source: 'https://x/$(id)'}}]", "/releases/0/source"),
        (f"releases: [{{{K3S}, source: 'file:///etc/passwd'}}]", "/releases/0/source"),
        (f"releases: [{{{K3S}, source: 'https://[x/y'}}]", "/releases/0/source"),
        (f"releases: [{{{K3S}}}, {{{K3S}}}]", "/releases/1"),
    ],
)
def test_a_table_of_nonsense_is_refused_with_its_place(own_table: Path, text: str, pointer: str) -> None:
    own_table.write_text(text)
    with pytest.raises(ReleasesInvalid) as refused:
        load_releases(own_table)
    assert (refused.value.pointer, refused.value.path) == (pointer, own_table)


@pytest.mark.parametrize(
    "entry",
    [
        f"{{{K3S}, checksums: null}}",
        f"{{{K3S}, checksums: null, sha256: {{amd64: {SHA}}}}}",
        f"{{{K3S}, source: 'http://mirror.example/k3s'}}",
        f"{{{K3S}, checksums: 'http://mirror.example/sums'}}",
    ],
)
def test_sec74_a_release_that_nothing_trustworthy_could_check_is_refused(own_table: Path, entry: str) -> None:
    own_table.write_text(f"releases: [{entry}]")
    with pytest.raises(ReleasesInvalid, match=r"nothing to check|without a pinned sha256"):
        load_releases(own_table)


@pytest.mark.parametrize(
    "text",
    [
        "releases: [",
        "a: &x [1]\nb: *x",
        "[" * 3000,
        "releases: []\nreleases: []",
        "replace: !!python/object/apply:os.system [id]",
        "x: " + "a" * 300_000,
    ],
    ids=["broken", "alias", "deep", "twice", "tag", "large"],
)
def test_sec65_a_hostile_or_broken_table_is_refused(own_table: Path, text: str) -> None:
    own_table.write_text(text)
    with pytest.raises(ReleasesInvalid):
        load_releases(own_table)


def test_a_syntax_error_is_told_with_its_line(own_table: Path) -> None:
    own_table.write_text("replace: true\nreleases:\n\t- x\n")
    with pytest.raises(ReleasesInvalid, match="line 3"):
        load_releases(own_table)


def test_a_table_that_is_no_text_is_refused(own_table: Path) -> None:
    own_table.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ReleasesInvalid, match="UTF-8"):
        load_releases(own_table)


def test_a_missing_table_is_no_silent_default(own_table: Path) -> None:
    with pytest.raises(FileNotFoundError):
        load_releases(own_table)


def release(version: str) -> Release:
    return Release("rke2" if "rke2" in version else "k3s", version, (), {})


@pytest.mark.parametrize(
    ("current", "target", "refusal"),
    [
        ("v1.34.4+k3s1", "v1.34.7+k3s1", None),
        ("v1.34.4+k3s1", "v1.34.4+k3s2", None),
        ("v1.34.9+rke2r1", "v1.35.0+rke2r1", None),
        ("v1.9.9+k3s1", "v1.10.0+k3s1", None),
        ("v1.33.7+k3s1", "v1.35.1+k3s1", "minor_skipped"),
        ("v1.99.0+k3s1", "v2.0.0+k3s1", "minor_skipped"),
        ("v1.35.5+k3s1", "v1.35.1+k3s1", "downgrade"),
        ("v1.35.0+k3s1", "v1.34.9+k3s1", "downgrade"),
        ("v1.34.10+rke2r1", "v1.34.9+rke2r1", "downgrade"),
        ("v1.35.5+k3s1", "v1.35.5+k3s1", "same_version"),
        ("v1.35.5+k3s1", "v1.35.7+rke2r1", "distribution_changed"),
    ],
)
def test_no_minor_is_skipped_and_nothing_goes_down(current: str, target: str, refusal: str | None) -> None:
    assert find_upgrade_refusal(release(current), release(target)) == refusal
    assert upgrade_allowed(release(current), release(target)) is (refusal is None)
