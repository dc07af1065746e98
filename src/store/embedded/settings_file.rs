//! The server's settings, written at each start: they follow the machine's memory.

use std::path::Path;

/// What the cluster's postgresql.conf says; a reader's own settings go below it and win.
pub(super) const MAIN: &str = "# costwake.conf is written anew at each start. Settings of your own go below this line and win.\n\
    include 'costwake.conf'\n";

const MIB: u64 = 1 << 20;

/// How a server is asked whether it was built with the packing that [`text`] may name.
pub(super) const PACKS_BY_LZ4: &[&str] = &["-C", "wal_compression", "-c", "wal_compression=lz4"];

/// The text of costwake.conf.
pub(super) fn text(socket_folder: &Path, memory_bytes: u64, packs_by_lz4: bool) -> String {
    let shared_mib = (memory_bytes / MIB / 8).clamp(64, 4096);
    let maintenance_mib = (memory_bytes / MIB / 32).clamp(64, 1024);
    let cache_mib = (memory_bytes / MIB / 2).max(128);
    let sockets = socket_folder.display().to_string().replace('\'', "''");
    let packing = if packs_by_lz4 { "lz4" } else { "off" };
    format!(
        "listen_addresses = ''\n\
         unix_socket_directories = '{sockets}'\n\
         unix_socket_permissions = 0700\n\
         port = {port}\n\
         max_connections = 120\n\
         # Nothing that was acknowledged is lost.\n\
         fsync = on\n\
         full_page_writes = on\n\
         synchronous_commit = on\n\
         # By the machine's memory.\n\
         shared_buffers = {shared_mib}MB\n\
         effective_cache_size = {cache_mib}MB\n\
         maintenance_work_mem = {maintenance_mib}MB\n\
         work_mem = 16MB\n\
         # Imports write much at once. Nothing follows this log but recovery, so a table that a transaction makes and\n\
         # fills goes to the disk itself instead of twice.\n\
         wal_level = minimal\n\
         max_wal_senders = 0\n\
         backend_flush_after = 512kB\n\
         # Behind a checkpoint each page that changes is in the log whole: with months of charges, gigabytes a bill.\n\
         wal_compression = {packing}\n\
         min_wal_size = 256MB\n\
         max_wal_size = 4GB\n\
         checkpoint_timeout = 15min\n\
         # Pages take milliseconds: compiling their queries takes longer than running them.\n\
         jit = off\n\
         random_page_cost = 1.1\n\
         timezone = 'UTC'\n\
         log_timezone = 'UTC'\n\
         lc_messages = 'C'\n\
         log_checkpoints = off\n\
         log_line_prefix = '%m [%p] '\n",
        port = super::server::PORT,
    )
}

/// The memory this process may use: the machine's, or the control group's where that is less.
pub(super) fn memory_bytes() -> u64 {
    let machine = std::fs::read_to_string("/proc/meminfo").ok().and_then(|text| {
        let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
        line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kib| kib * 1024)
    });
    let group = std::fs::read_to_string("/sys/fs/cgroup/memory.max").ok().and_then(|text| text.trim().parse().ok());
    machine.unwrap_or(1024 * MIB).min(group.unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_shared_out_within_bounds() {
        let small = text(Path::new("socket"), 256 * MIB, false);
        assert!(small.contains("shared_buffers = 64MB\n"));
        let large = text(Path::new("/tmp/it's"), 256 * 1024 * MIB, true);
        assert!(large.contains("shared_buffers = 4096MB\n") && large.contains("'/tmp/it''s'"));
        assert!(small.contains("\nwal_compression = off\n") && large.contains("\nwal_compression = lz4\n"));
        assert!(large.contains("\nfsync = on\n") && large.starts_with("listen_addresses = ''\n"));
    }
}
