import pytest

from tests.cli.service import COLLECTION, SESSION, Service


def test_help_names_every_option_and_exit_code(run):
    shown = run("--help")

    assert shown.code == 0
    for option in (
        "--input", "--collection", "--session", "--bindir", "--tilesize", "--mongo-collection", "--base-only", "--dry-run",
        "--recreate-session", "--overwrite", "--verbose", "--wait", "--timeout", "--json", "--yes", "--api", "--token",
        "--callback-url",
    ):  # fmt: skip
        assert option in shown.out
    for line in ("0    everything was accepted", "1    at least one", "2    wrong", "3    the service", "130  interr"):
        assert line in shown.out


@pytest.mark.parametrize(
    ("wrong", "recorded"),
    [
        (["-s", "e1"], "'e1' is not an ObjectId of 24 hexadecimal digits"),
        (["-s", "z" * 24], "is not an ObjectId"),
        (["-m", "1"], "is not an ObjectId"),
        (["-t", "0"], "'0' must be a multiple of 16 from 64 to 4096 pixels"),
        (["-t", "-1"], "must be a multiple of 16"),
        (["-t", "100000"], "must be a multiple of 16"),
        (["-t", "100"], "must be a multiple of 16"),
        (["-t", "abc"], "'abc' must be an integer of pixels"),
        (["--wait", "--timeout", "0"], "must be a number of seconds above 0"),
        (["--wait", "--timeout", "nan"], "must be a number of seconds above 0"),
        (["--wait", "--timeout", "soon"], "must be a number of seconds above 0"),
        (["--callback-url", "ftp://example.org"], "the URL must begin with https://"),
        (["--callback-url", "https://user:secret@example.org"], "the URL must not hold a user or a password"),
        (["--timeout", "5"], "--timeout requires --wait"),
        (["--sess", SESSION], "unrecognized arguments"),
    ],
)
def test_a_wrong_option_is_told_before_anything_is_asked_for(run_slide, service: Service, wrong, recorded):
    ended = run_slide(*wrong)

    assert (ended.code, ended.out) == (2, "")
    assert recorded in ended.err
    assert service.calls == []


def test_a_wrong_collection_is_told(run, slide, service: Service):
    ended = run("-i", slide(), "-s", SESSION, collection="c1")

    assert ended.code == 2
    assert "-c/--collection: 'c1' is not an ObjectId" in ended.err
    assert service.calls == []


@pytest.mark.parametrize("missing", ["no-such-file.svs", ""])
def test_an_input_that_does_not_exist_is_told(run, service: Service, missing):
    ended = run("-i", missing, "-s", SESSION)

    assert ended.code == 2
    assert f"the file or folder '{missing}' does not exist" in ended.err
    assert service.calls == []


@pytest.mark.parametrize("url", ["s3://", "s3://bucket", "s3://bucket/", "s3://UPPER/key"])
def test_an_address_that_is_no_object_is_told(run, service: Service, url):
    ended = run("-i", url, "-s", SESSION)

    assert ended.code == 2
    assert "must look like s3://bucket/key" in ended.err
    assert service.calls == []


def test_a_single_slide_needs_a_session(run, slide, service: Service):
    of_file, of_object = run("-i", slide()), run("-i", "s3://slides/a.svs")

    assert of_file.code == of_object.code == 2
    assert "a single slide requires --session" in of_file.err
    assert service.calls == []


def test_one_image_cannot_be_replaced_by_a_folder_of_slides(run, slide, tmp_path, service: Service):
    slide("many/a.svs"), slide("many/b.svs")

    ended = run("-i", tmp_path / "many", "-m", "a" * 24)

    assert ended.code == 2
    assert "--mongo-collection names one image" in ended.err
    assert service.calls == []


def test_ids_are_taken_in_capitals_too(run, slide, service: Service):
    ended = run("-i", slide(), "-s", SESSION.upper(), collection=COLLECTION.upper())

    assert ended.code == 0
    assert service.submitted()[0]["session"] == SESSION
    assert service.submitted()[0]["collection"] == COLLECTION
