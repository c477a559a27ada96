package import Storage

extension EvaluationLog {
  /// Waits until no other process changes the log of a run; hold it from reading to writing.
  package static func lock(run: String) throws(LockError) -> FileLock {
    try FileLock(of: "\(run)/\(name)", at: "\(run)/.\(name).lock", waiting: 60)
  }
}
