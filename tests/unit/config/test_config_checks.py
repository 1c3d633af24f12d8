"""Settings must agree with each other and with this machine."""

from __future__ import annotations

import pytest

from toros.config import SERVICES, load
from toros.errors import ConfigurationError

HASH = "$argon2id$v=19$m=65536,t=3,p=4$" + "A" * 22 + "$" + "A" * 43
USER = f"{{Name: observer, Password Hash: '{HASH}', Requests: all}}"
DESK = f"Front Desk: {{Users: [{USER}]}}\n"


def test_a_port_used_twice_is_refused_by_those_involved_and_a_warning_to_others(
    load_text, problems
):
    text = "Dome Service Address:\n  Port: 8083\n"
    for service in (None, "dome", "lvcgcn"):
        (line,) = problems(text, service)
        assert line == (
            "2: Dome Service Address / Port: got 8083, which is the port of Lvcgcn Service "
            "Address too; expected a port of its own for each daemon"
        )
    for service in ("preprocessor", "telescope"):
        assert "got 8083" in load_text(text, service).warnings[0]


def test_one_port_on_two_addresses_is_no_clash(load_text, problems):
    other = "Dome Service Address: {IP: 127.0.0.2, Port: 8081}\n"
    assert load_text(other).warnings == ()
    assert "which is the port of" in problems(other.replace("127.0.0.2", "0.0.0.0") + DESK)[0]


@pytest.mark.parametrize(
    ("keys", "found"),
    [
        ("HTTP: http://127.0.0.1:9000", "has port 9000, but Port is 8080"),
        ("HTTP: http://127.0.0.1", "has port 80, but Port is 8080"),
        ("HTTP: http://127.0.0.2:8080", "names the host 127.0.0.2, but IP is 127.0.0.1"),
        ("HTTP: http://toros.example.org:8080", "names the host toros.example.org, but IP"),
        ("HTTP: http://u:pw@10.0.0.1:8080", "got 'http://***@10.0.0.1:8080', which names"),
    ],
)
def test_an_http_address_that_contradicts_ip_and_port_is_refused(load_text, problems, keys, found):
    text = f"Preprocessor Service Address: {{{keys}}}\n"
    (line,) = problems(text)
    assert line.startswith("1: Preprocessor Service Address / HTTP: got ")
    assert found in line
    assert "Behind Proxy: true" in line
    assert "pw" not in line
    assert load_text(text.replace("}", ", Behind Proxy: true}")).preprocessor_service.behind_proxy


@pytest.mark.parametrize(
    "keys",
    [
        "HTTP: http://localhost:8080",
        "HTTP: http://127.0.0.1:8080/RPC2",
        "HTTP: http://user:pw@127.0.0.1:8080",
        "{HTTP: http://dome.example.org:8080, IP: 10.0.0.1}",
        "{HTTP: 'http://[::1]:8080', IP: '::1'}",
        "{HTTP: http://10.1.1.1:8080, IP: 0.0.0.0}",
    ],
)
def test_an_http_address_that_agrees_is_taken(load_text, keys):
    load_text(f"Preprocessor Service Address: {{{keys.strip('{}')}}}\n{DESK}")


@pytest.mark.parametrize(
    "url",
    ["ftp://127.0.0.1:8080", "127.0.0.1:8080", "http://", "http://h:0", "http://h:99999",
     "http://[::1", "http://a b:8080", "http://h:8080/?a=b", "http://h:8080#x"],
)  # fmt: skip
def test_what_is_no_http_address_is_refused(problems, url):
    (line,) = problems(f"Dome Service Address: {{HTTP: '{url}'}}")
    assert "expected an address such as http://127.0.0.1:8080" in line


@pytest.mark.parametrize("ip", ["0.0.0.0", "10.0.0.5", "'::'", "192.168.1.1", "8.8.8.8"])
def test_any_address_but_loopback_needs_users_and_warns_without_tls(load_text, problems, ip):
    text = f"Preprocessor Service Address: {{IP: {ip}}}\n"
    for service in (None, "preprocessor"):
        (line,) = problems(text, service)
        assert line.startswith("1: Preprocessor Service Address / IP: got ")
        assert "Front Desk / Users" in line
        (warning,) = load_text(text + DESK, service).warnings
        assert "travel in the clear" in warning
    # To another daemon it is the address of one that may run on another machine.
    assert load_text(text, "dome").warnings == ()


def test_a_mistake_in_the_front_desk_is_not_reported_as_a_lack_of_users(problems):
    (line,) = problems("Preprocessor Service Address: {IP: 10.0.0.5}\nFront Desk: {Users: 3}\n")
    assert line == "2: Front Desk / Users: got 3; expected a list of users"


@pytest.mark.parametrize("ip", ["localhost", "1.2.3", "256.0.0.1", "127.0.0.1:8080"])
def test_what_is_no_ip_address_is_refused(problems, ip):
    assert "expected an IP address" in problems(f"Dome Service Address: {{IP: '{ip}'}}")[0]


def test_users_are_unique(problems):
    (line,) = problems(f"Front Desk:\n  Users:\n  - {USER}\n  - {USER}\n")
    assert line == "4: Front Desk / Users / 2 / Name: got 'observer' again; expected each user once"


@pytest.mark.parametrize(
    "value",
    ["hunter2hunter2", HASH[:-30], HASH.replace("argon2id", "scrypt"), HASH + "!", "12345"],
)
def test_what_is_no_argon2_hash_is_refused_and_not_shown(problems, value):
    lines = problems(DESK.replace(HASH, value))
    assert "Password Hash: got a value that is not shown; expected an argon2 hash" in lines[0]
    assert value not in "".join(lines)


def test_tls_files_come_in_pairs_and_must_be_readable(load_text, problems, tmp_path):
    certificate = tmp_path / "cert.pem"
    text = f"Front Desk:\n  TLS Certificate: {certificate}\n"
    lines = problems(text)
    assert lines[0].startswith("1: Front Desk / TLS Key: missing; expected a file, since TLS Cert")
    assert lines[1].startswith(
        f"2: Front Desk / TLS Certificate: got '{certificate}'; expected a f"
    )
    certificate.write_text("")
    pair = f"{text}  TLS Key: {certificate}\n"
    load_text(pair)
    plain = pair + "Dome Service Address: {HTTP: 'http://127.0.0.1:8082'}\n"
    assert "expected https://" in load_text(plain).warnings[0]


@pytest.mark.parametrize(
    ("url", "good"),
    [
        ("sqlite:////var/lib/toros/x.db", True),
        ("postgresql://toros@localhost/toros", True),
        ("postgresql+psycopg://toros@localhost:5433/toros", True),
        ("postgresql:///toros?host=/run/postgresql", True),
        ("sqlite:///x.db", False),
        ("sqlite://", False),
        ("sqlite:///:memory:", False),
        ("/var/lib/toros/x.db", False),
        ("postgres://toros@localhost/toros", False),
        ("postgresql://localhost", False),
        ("postgresql://localhost:port/toros", False),
        ("postgresql://localhost:99999/toros", False),
        ("postgresql://u:p@ss@localhost/toros", False),
        ("postgresql+asyncpg://localhost/toros", False),
        ("mysql://localhost/toros", False),
    ],
)
def test_database_urls(load_text, problems, url, good):
    text = f"Database:\n  URL: '{url}'\n"
    if good:
        assert load_text(text).database.url == url
    else:
        (line,) = problems(text)
        assert line.startswith("2: Database / URL: got ")
        assert "expected sqlite:////absolute/path.db or postgresql://" in line


def test_the_databases_login_is_given_in_one_place(load_text, problems):
    url = "URL: 'postgresql://toros:pw@db/toros'"
    settings = load_text(f"Database: {{{url}, User: toros, Password: 'p@ss/w'}}")
    assert settings.database_url() == "postgresql+psycopg://toros:p%40ss%2Fw@db/toros"
    assert "the URL names another" in problems(f"Database: {{{url}, User: other}}")[0]
    (warning,) = load_text("Database: {User: toros}").warnings
    assert "given for SQLite" in warning


@pytest.mark.parametrize("value", ["astronomer", "a@b@c", "a b@c", "<a@b>", "a@b, c@d", "@b", "a@"])
def test_what_is_no_mail_address_is_refused(problems, value):
    assert problems(f"Admin Emails: ['{value}']")[0].startswith(
        f"1: Admin Emails / 1: got '{value}'; expected an e-mail address"
    )
    assert "From" in problems(f"Email Configuration: {{From: '{value}'}}")[0]


def test_mail_that_cannot_go_out_is_a_warning(load_text):
    def warnings(text):
        return " ".join(load_text(text).warnings)

    assert "no mail is sent" in warnings("Admin Emails: [a@b]")
    server = "Email Configuration: {Server: mail.example.org"
    assert warnings(f"Admin Emails: [a@b]\n{server}}}") == ""
    assert "User: given without Password" in warnings(f"{server}, User: u}}")
    assert "Password: given without User" in warnings(f"{server}, Password: p}}")
    login = f"{server}, User: u, Password: p"
    assert warnings(f"{login}}}") == ""
    assert "in the clear" in warnings(f"{login}, Security: none}}")


@pytest.mark.parametrize(
    ("keys", "found"),
    [
        ("Longitude (deg): 361", "got 361; expected a number of degrees, -180 to 360"),
        ("Latitude (deg): -90.5", "got -90.5; expected a number of degrees, -90 to 90"),
        ("Latitude (deg): 12:30:00", "got '12:30:00'"),
        ("Latitude (deg): 12", "Longitude (deg): missing; expected a value, since Latitude (deg)"),
    ],
)
def test_the_observatorys_position(problems, keys, found):
    assert found in problems(f"Observatory:\n  {keys}\n")[0]


def test_observatories_differ_by_name(problems):
    other = "{Name: A, Longitude (deg): 1, Latitude (deg): 1, Height (m): 1, "
    other += "Telescope Service HTTP: 'http://x'}"
    (line,) = problems(f"Observatory: {{Name: A}}\nOther Observatories: [{other}]\n")
    assert line.startswith("2: Other Observatories: got 'A' twice")


def test_folders_that_cannot_be_are_refused(load_text, problems, tmp_path):
    (tmp_path / "file").write_text("")
    text = f"State Folder: {tmp_path}/file/below\nLogging: {{File: {tmp_path}}}\n"
    lines = problems(text)
    assert lines[0].startswith(f"1: State Folder: got '{tmp_path}/file/below' is not a folder")
    assert "is a folder; expected a file's path" in lines[1]
    (warning,) = load_text(
        f"Preprocessor: {{Sources: {{Folders: [{tmp_path}, {tmp_path}/absent]}}}}"
    ).warnings
    assert "Folders / 2: got" in warning
    assert "cannot be read now" in warning


def test_a_state_folder_of_somebody_else_is_refused_by_a_daemon(unprivileged):
    folder, file = unprivileged / "state", unprivileged / "toros.conf.yaml"
    folder.mkdir(mode=0o500)
    file.write_text(f"State Folder: {folder}\n")
    assert "cannot be written" in load(file, environ={}).warnings[0]
    with pytest.raises(ConfigurationError, match="cannot be written"):
        load(file, "preprocessor", environ={})


def test_a_tls_key_of_somebody_else_is_refused(unprivileged):
    key, file = unprivileged / "key.pem", unprivileged / "toros.conf.yaml"
    key.touch(mode=0)
    file.write_text(f"Front Desk: {{TLS Certificate: {file}, TLS Key: {key}}}\n")
    with pytest.raises(ConfigurationError, match=r"TLS Key: got .*key\.pem'; expected a file that"):
        load(file, environ={})


@pytest.mark.parametrize("service", [None, *SERVICES])
def test_the_defaults_have_no_problem(load_text, service):
    assert load_text("", service).warnings == ()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "Preprocessor Service Address: {Port: '9000'}",
            "got '9000'; expected a port, a whole number, 1 to 65535, without quotes: 9000",
        ),
        ("Observatory: {Height (m): '4637.5'}", ", without quotes: 4637.5"),
    ],
)
def test_a_quoted_number_is_told_to_be_one(problems, text, said):
    (line,) = problems(text + "\n")
    assert line.endswith(said)


def test_other_text_in_place_of_a_number_is_not_told_to_lose_its_quotes(problems):
    (line,) = problems("Preprocessor Service Address: {Port: nine}\n")
    assert "without quotes" not in line
