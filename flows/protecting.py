"""Setting the rights of roles on this machine: accounts, owners, groups and modes; and the same as PostgreSQL's GRANTs."""

import grp
import os
import pwd
import stat
import subprocess
from collections.abc import Iterable
from pathlib import Path

from flows.roles import Protection, Role, Roles
from flows.state import all_tables
from schemas.errors import UsageError

READS_A_RELEASE = ("plans", "ledger", "answers", "releases", "checks", "signoffs", "term_reviews", "alembic_version")
"""What an approver reads: the plan, what was spent, the stored answer, its checks, who has signed, what was decided on its
terms; and the version."""

NOT_THE_OPERATORS = ("alembic_version", "term_reviews")
"""What the operator adds nothing to: reviewers decide on terms."""


def account_commands(roles: Roles, protections: Iterable[Protection], companies: tuple[str, ...]) -> list[list[str]]:
    """Commands that make the accounts, groups and memberships that are missing, for people to see before they are run."""
    accounts = [roles.accounts.of(role) for role in Role if role is not Role.COMPANY]
    accounts += [roles.accounts.of(Role.COMPANY, company) for company in companies]
    commands = [
        ["useradd", "--system", "--user-group", "--no-create-home", "--shell", "/usr/sbin/nologin", name]
        for name in dict.fromkeys(accounts)
        if _uid(name) is None
    ]
    for protection in protections:
        if not protection.members or protection.group.isdecimal():
            continue
        group = _group(protection.group)
        if group is None and ["groupadd", "--system", protection.group] not in commands:
            commands.append(["groupadd", "--system", protection.group])
        present = set(group.gr_mem) if group else set()
        missing = [
            ["usermod", "--append", "--groups", protection.group, name] for name in protection.members if name not in present
        ]
        commands += [command for command in missing if command not in commands]
    return commands


def run_commands(commands: Iterable[list[str]]) -> None:
    """Runs them, as root. Raises UsageError where one fails."""
    for command in commands:
        try:
            done = subprocess.run(command, capture_output=True, check=False).returncode == 0  # noqa: S603  (names from roles.toml)
        except OSError:
            done = False
        if not done:
            raise UsageError("An account or group could not be made.", "Make them by hand, and name them in roles.toml.")


def protect(root: Path, protections: Iterable[Protection]) -> list[str]:
    """Sets owners, groups and modes below a root, and makes folders that are missing. Returns what was changed.

    Nothing is followed: a link is left as it is, and so is a file that has a second name. Raises UsageError where an account
    is missing, or this process may not change owners.
    """
    changed = []
    for protection in protections:
        owner = 0 if not protection.owner else _uid(protection.owner)
        group = 0 if not protection.group else _gid(protection.group)
        if owner is None or group is None:
            raise UsageError(
                "An account of roles.toml is not on this machine.", "`commons protect --dry-run` lists what is missing."
            )
        folder = _open_below(root, protection.path.parts)
        try:
            if _set(folder, owner, group, protection.folder_mode):
                changed.append(str(protection.path))
            if protection.contents:
                _set_contents(folder, owner, group, protection)
        finally:
            os.close(folder)
    return changed


def _open_below(root: Path, parts: tuple[str, ...]) -> int:
    descriptor = -1
    for part in (os.fspath(root), *parts):
        above = None if descriptor < 0 else descriptor
        try:
            try:
                deeper = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=above)
            except FileNotFoundError:
                os.mkdir(part, mode=0o700, dir_fd=above)
                deeper = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=above)
        except OSError:
            deeper = -1
        if above is not None:
            os.close(above)
        if deeper < 0:
            raise UsageError("A folder of the pool is a link, a file, or out of reach.", "Remove it, then run the same again.")
        descriptor = deeper
    return descriptor


def _set(descriptor: int, owner: int, group: int, mode: int) -> bool:
    now = os.fstat(descriptor)
    if (now.st_uid, now.st_gid, stat.S_IMODE(now.st_mode)) == (owner, group, mode):
        return False
    try:
        os.fchown(descriptor, owner, group)  # first, since it fails where the rest may not be done either
        os.fchmod(descriptor, mode)
    except PermissionError:
        pass
    else:
        return True
    raise UsageError("Owners and modes can be set by root only.", "Run `sudo commons protect`.")


def _set_contents(folder: int, owner: int, group: int, protection: Protection) -> None:
    for _, folders, files, inside in os.fwalk(".", dir_fd=folder, follow_symlinks=False):
        for name, wanted, mode in (
            *((name, os.O_DIRECTORY, protection.folder_mode) for name in folders),
            *((name, 0, protection.file_mode) for name in files),
        ):
            try:
                descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | wanted, dir_fd=inside)
            except OSError:  # a link, or gone since
                continue
            try:
                found = os.fstat(descriptor)
                if wanted or (stat.S_ISREG(found.st_mode) and found.st_nlink == 1):
                    # Who made a file in a place of several keeps it; where there is one owner, it is the owner's.
                    _set(descriptor, found.st_uid if not protection.owner else owner, group, mode)
            finally:
                os.close(descriptor)


def acting_role(roles: Roles, companies: tuple[str, ...]) -> Role | None:
    """The role whose account runs this process; None where it is nobody's (a pool of one account, or root)."""
    me = os.geteuid()
    for role in Role:
        if role is not Role.COMPANY and _uid(roles.accounts.of(role)) == me:
            return role
    return Role.COMPANY if any(_uid(roles.accounts.of(Role.COMPANY, name)) == me for name in companies) else None


def state_tables() -> list[str]:
    """Names of all tables of the state database."""
    return sorted(["alembic_version", *(name for each in all_tables() for name in each.tables)])


def grants(roles: Roles, tables: Iterable[str], schema: str = "public") -> list[str]:
    """SQL that gives each role of the matrix its rights on the state database in PostgreSQL, and nobody else any.

    The tables are their owner's, who runs `commons migrate`. The operator reads and adds, and changes only what has a state.
    Approvers read releases, add a sign-off and move a release on, and the clinical ones decide on terms: unlike with SQLite,
    nothing else.
    """

    def of(*names: str) -> str:
        return ", ".join(f'{schema}."{name}"' for name in sorted(names))

    row, listed = roles.matrix["state"], of(*tables)
    lines = [
        f"REVOKE ALL ON SCHEMA {schema} FROM PUBLIC;",
        f"REVOKE ALL ON {listed} FROM PUBLIC;",
    ]
    for role, right in row.items():
        name = _quoted(roles.accounts.of(role))
        if role is Role.OPERATOR and right == "write":
            lines += [
                f"GRANT USAGE ON SCHEMA {schema} TO {name};",
                f"GRANT SELECT ON {listed} TO {name};",
                f"GRANT INSERT ON {of(*(table for table in tables if table not in NOT_THE_OPERATORS))} TO {name};",
                f"GRANT UPDATE ON {of('releases', 'submissions')} TO {name};",
                f"GRANT DELETE ON {of('checks')} TO {name};",  # made anew until the release is approved
                f"GRANT USAGE ON ALL SEQUENCES IN SCHEMA {schema} TO {name};",
            ]
        elif right in ("read", "write"):
            lines += [f"GRANT USAGE ON SCHEMA {schema} TO {name};", f"GRANT SELECT ON {of(*READS_A_RELEASE)} TO {name};"]
            if right == "write":
                lines += [
                    f"GRANT INSERT ON {of('signoffs', *(('term_reviews',) if role is Role.CLINICAL else ()))} TO {name};",
                    f"GRANT UPDATE (state) ON {of('releases')} TO {name};",
                ]
    return lines


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _uid(name: str) -> int | None:
    if name.isdecimal():
        return int(name)
    try:
        return pwd.getpwnam(name).pw_uid
    except KeyError:
        return None


def _group(name: str) -> grp.struct_group | None:
    try:
        return grp.getgrnam(name)
    except KeyError:
        return None


def _gid(name: str) -> int | None:
    if name.isdecimal():
        return int(name)
    found = _group(name)
    return None if found is None else found.gr_gid
