//! Files that only their owner may read. What root makes in a folder of someone else is given to them: the service
//! that runs as that user has to read what a command of root made for it.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, fchown};
use std::path::Path;
use tempfile::NamedTempFile;

/// A new file with this content, on disk under a name of its own. It is deleted when dropped, unless it is given its
/// name by then.
pub fn write_aside(path: &Path, content: &mut impl io::Read) -> io::Result<NamedTempFile> {
    let folder = folder_of(path);
    let mut file = tempfile::Builder::new().prefix(".new-").tempfile_in(folder)?;
    give(file.as_file(), folder)?;
    io::copy(content, &mut file)?;
    file.flush()?;
    file.as_file().sync_all()?;
    Ok(file)
}

/// Gives a file or folder that root made to the owner of the folder in which it lies.
pub fn give(made: &File, folder: &Path) -> io::Result<()> {
    let owner = fs::metadata(folder)?;
    if made.metadata()?.uid() == 0 && owner.uid() != 0 {
        fchown(made, Some(owner.uid()), Some(owner.gid()))?;
    }
    Ok(())
}

/// Where a file lies.
pub fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, chown};

    const NOBODY: u32 = 65_534;

    #[test]
    fn a_file_is_private_and_goes_where_it_gets_no_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        let file = write_aside(&path, &mut &b"secret"[..]).unwrap();
        assert_eq!(file.as_file().metadata().unwrap().permissions().mode() & 0o777, 0o600);
        drop(file);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
        write_aside(&path, &mut &b"secret"[..]).unwrap().persist(&path).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"secret");
    }

    #[test]
    fn what_root_makes_belongs_to_the_owner_of_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        // Nobody else can give files away.
        if fs::metadata("/proc/self").unwrap().uid() != 0 {
            return;
        }
        chown(folder.path(), Some(NOBODY), Some(NOBODY)).unwrap();
        let path = folder.path().join("key");
        write_aside(&path, &mut &b"secret"[..]).unwrap().persist(&path).unwrap();
        let given = fs::metadata(&path).unwrap();
        assert_eq!((given.uid(), given.gid()), (NOBODY, NOBODY));
    }

    #[test]
    fn a_bare_name_lies_here() {
        assert_eq!(folder_of(Path::new("costwake.backup")), Path::new("."));
        assert_eq!(folder_of(Path::new("/srv/key")), Path::new("/srv"));
    }
}
