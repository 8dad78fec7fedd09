"""Everything that can be seen of the files in a desktop, as text: to compare two desktops by."""

from e2b import AsyncSandbox

_PROGRAM = r"""
import hashlib, os, stat, sys
for root in sys.argv[1:]:
    for folder, folders, files in os.walk(root):
        for name in sorted(folders + files):
            path = os.path.join(folder, name)
            s = os.lstat(path)
            what = [oct(s.st_mode), s.st_uid, s.st_gid, s.st_mtime_ns]
            if stat.S_ISREG(s.st_mode):
                data = b"unreadable"
                if s.st_mode & 0o400:
                    data = open(path, "rb").read()
                what += [s.st_nlink, s.st_size, hashlib.sha256(data).hexdigest()]
            if stat.S_ISLNK(s.st_mode):
                what.append(os.readlink(path))
            elif s.st_mode & 0o400:
                what += [(n, os.getxattr(path, n)) for n in sorted(os.listxattr(path))]
            print(ascii(path), *what)
"""


async def manifest(desktop: AsyncSandbox, *roots: str) -> list[str]:
    """Describe all below ``roots``, a line an entry, sorted; without any, below the home folder."""
    await desktop.files.write("/tmp/manifest.py", _PROGRAM)
    result = await desktop.commands.run(f"python3 /tmp/manifest.py {' '.join(roots or ('.',))}")
    return sorted(result.stdout.splitlines())
