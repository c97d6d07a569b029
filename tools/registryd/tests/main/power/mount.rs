//! A [`Disk`] as a file system, by FUSE. The kernel writes through at once, so that the disk
//! sees every write, and keeps locks and shared memory by itself.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use fuser::{
    BackgroundSession, BsdFileFlags, Config, Errno, FileAttr, FileHandle, FileType, Filesystem,
    FopenFlags, Generation, INodeNo, LockOwner, MountOption, OpenFlags, RenameFlags, ReplyAttr,
    ReplyCreate, ReplyData, ReplyDirectory, ReplyEmpty, ReplyEntry, ReplyWrite, Request, TimeOrNow,
    WriteFlags,
};

use super::disk::{Directory, Disk, File, Node};

/// Nobody else changes the disk: the kernel may keep what it knows.
const TTL: Duration = Duration::from_secs(3600);

/// A mounted disk, until it is dropped.
pub(crate) struct Mount {
    /// Serves until the last descriptor is closed; nothing depends on when that is.
    _session: BackgroundSession,
    at: PathBuf,
}

impl Mount {
    /// Mounts a disk on a directory.
    pub(crate) fn new(disk: &Disk, at: &Path) -> Self {
        let mut config = Config::default();
        config.mount_options = vec![
            MountOption::FSName("forgetful".to_owned()),
            MountOption::DefaultPermissions,
        ];
        let session = fuser::spawn_mount(Served(disk.clone()), at, &config).unwrap();
        Self {
            _session: session,
            at: at.to_owned(),
        }
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        // Another test's child may hold our descriptors between fork and exec: never "busy".
        let detached = Command::new("umount").arg("--lazy").arg(&self.at).status();
        assert!(detached.unwrap().success(), "cannot unmount");
    }
}

struct Served(Disk);

impl Served {
    fn attributes(&self, number: u64) -> Option<FileAttr> {
        let (mode, size, kind) = self.0.look(number, |mode, node| match node {
            Node::File(file) => (mode, file.written.len() as u64, FileType::RegularFile),
            Node::Directory(_) => (mode, 0, FileType::Directory),
        })?;
        let then = SystemTime::UNIX_EPOCH;
        Some(FileAttr {
            ino: INodeNo(number),
            size,
            blocks: size.div_ceil(512),
            atime: then,
            mtime: then,
            ctime: then,
            crtime: then,
            kind,
            perm: (mode & 0o7777) as u16,
            nlink: 1,
            uid: 0,
            gid: 0,
            rdev: 0,
            blksize: 4096,
            flags: 0,
        })
    }

    fn entry(&self, number: Option<u64>, reply: ReplyEntry) {
        match number.and_then(|n| self.attributes(n)) {
            Some(attributes) => reply.entry(&TTL, &attributes, Generation(0)),
            None => reply.error(Errno::ENOENT),
        }
    }
}

impl Filesystem for Served {
    fn lookup(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        self.entry(self.0.find(parent.0, name), reply);
    }

    fn getattr(&self, _: &Request, ino: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        match self.attributes(ino.0) {
            Some(attributes) => reply.attr(&TTL, &attributes),
            None => reply.error(Errno::ENOENT),
        }
    }

    fn setattr(
        &self,
        request: &Request,
        ino: INodeNo,
        mode: Option<u32>,
        _: Option<u32>,
        _: Option<u32>,
        size: Option<u64>,
        _: Option<TimeOrNow>,
        _: Option<TimeOrNow>,
        _: Option<SystemTime>,
        fh: Option<FileHandle>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        if let Some(mode) = mode {
            self.0.set_mode(ino.0, mode);
        }
        if let Some(size) = size {
            self.0.change(ino.0, |file| file.resize(size as usize));
        }
        self.getattr(request, ino, fh, reply);
    }

    fn mkdir(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        _: u32,
        reply: ReplyEntry,
    ) {
        let node = Node::Directory(Directory::default());
        self.entry(Some(self.0.make(parent.0, name, mode, node)), reply);
    }

    fn unlink(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        self.0.rename(parent.0, vec![(name.to_owned(), None)]);
        reply.ok();
    }

    fn rename(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        to: INodeNo,
        new: &OsStr,
        flags: RenameFlags,
        reply: ReplyEmpty,
    ) {
        if parent != to || !flags.is_empty() {
            return reply.error(Errno::EXDEV);
        }
        match self.0.find(parent.0, name) {
            Some(number) => {
                let changes = vec![(name.to_owned(), None), (new.to_owned(), Some(number))];
                self.0.rename(parent.0, changes);
                reply.ok();
            }
            None => reply.error(Errno::ENOENT),
        }
    }

    fn open(&self, _: &Request, _: INodeNo, _: OpenFlags, reply: fuser::ReplyOpen) {
        reply.opened(FileHandle(0), FopenFlags::FOPEN_KEEP_CACHE);
    }

    fn create(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        _: u32,
        _: i32,
        reply: ReplyCreate,
    ) {
        let file = File::new(name.to_string_lossy().ends_with("-shm"));
        let number = self.0.make(parent.0, name, mode, Node::File(file));
        match self.attributes(number) {
            Some(attributes) => reply.created(
                &TTL,
                &attributes,
                Generation(0),
                FileHandle(0),
                FopenFlags::FOPEN_KEEP_CACHE,
            ),
            None => reply.error(Errno::EIO),
        }
    }

    fn read(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let offset = offset as usize;
        let data = self.0.look(ino.0, |_, node| match node {
            Node::File(file) => {
                let end = file.written.len().min(offset + size as usize);
                file.written.get(offset..end).unwrap_or_default().to_vec()
            }
            Node::Directory(_) => Vec::new(),
        });
        reply.data(&data.unwrap_or_default());
    }

    fn write(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        offset: u64,
        data: &[u8],
        _: WriteFlags,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        self.0
            .change(ino.0, |file| file.write(offset as usize, data));
        reply.written(data.len() as u32);
    }

    fn flush(&self, _: &Request, _: INodeNo, _: FileHandle, _: LockOwner, reply: ReplyEmpty) {
        // Closing promises nothing.
        reply.ok();
    }

    fn fsync(&self, _: &Request, ino: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        self.0.sync(ino.0);
        reply.ok();
    }

    fn fsyncdir(&self, _: &Request, ino: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        self.0.sync(ino.0);
        reply.ok();
    }

    fn readdir(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        offset: u64,
        mut reply: ReplyDirectory,
    ) {
        let entries = self.0.look(ino.0, |_, node| match node {
            Node::Directory(directory) => directory.entries.clone().into_iter().collect(),
            Node::File(_) => Vec::new(),
        });
        let entries = entries.unwrap_or_default().into_iter().enumerate();
        for (n, (name, number)) in entries.skip(offset as usize) {
            let kind = self
                .attributes(number)
                .map_or(FileType::RegularFile, |a| a.kind);
            if reply.add(INodeNo(number), n as u64 + 1, kind, name) {
                break;
            }
        }
        reply.ok();
    }
}
