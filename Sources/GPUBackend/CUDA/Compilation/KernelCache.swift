import Foundation
import Storage

/// Compiled kernels of earlier runs, in the user's cache.
///
/// A file's name is the checksum of all that its contents follow from, so nothing in it is ever out of
/// date. It holds a checksum of itself as well: what is damaged is compiled again.
package struct KernelCache: Sendable {
  /// Nil where there is no place to keep anything.
  let folder: String?

  /// `$XDG_CACHE_HOME`, or `~/.cache`.
  package init(environment: [String: String] = ProcessInfo.processInfo.environment) {
    let home = environment["HOME"].flatMap { $0.isEmpty ? nil : $0 + "/.cache" }
    // The specification wants an absolute path and has all others ignored.
    let named = environment["XDG_CACHE_HOME"].flatMap { $0.hasPrefix("/") ? $0 : nil }
    folder = (named ?? home).map { $0 + "/billion-word-trainer/kernels" }
  }

  /// The name of a compiled file.
  func key(_ module: KernelModule, _ compiler: KernelCompiler) -> String {
    let source = KernelSource(module.file)
    var hash = SHA256()
    func add(_ text: String) { hash.update(Array(text.utf8) + [0]) }
    add("kernels 1")
    add(compiler.version)
    for option in compiler.options(module.definitions) { add(option) }
    add(source.name)
    add(String(cString: source.text))
    for header in source.headers {
      add(String(cString: header.name))
      add(String(cString: header.text))
    }
    return hash.finalize()
  }

  private func path(_ key: String) -> String? { folder.map { $0 + "/" + key + ".bin" } }

  /// What was kept; nil if it is not there, or not whole.
  func load(_ key: String) -> [UInt8]? {
    guard let path = path(key), let bytes = try? Files.contents(of: path),
      bytes.count > Self.sumBytes
    else { return nil }
    let image = Array(bytes.dropFirst(Self.sumBytes))
    guard Array(bytes.prefix(Self.sumBytes)) == Self.sum(key, image) else { return nil }
    return image
  }

  /// Keeps an image; that it cannot is no error, as the next run compiles again.
  func store(_ image: [UInt8], _ key: String) {
    guard let path = path(key), let folder else { return }
    try? Files.createDirectory(folder)
    _ = try? AtomicDirectory.removeAbandoned(besides: path)
    // Nobody waits for the disk: what it loses is damaged, and compiled again.
    try? AtomicFile.write(Self.sum(key, image) + image, to: path, flushes: false)
  }

  private static let sumBytes = 64

  /// 64 digits: one file does not pass for another.
  private static func sum(_ key: String, _ image: [UInt8]) -> [UInt8] {
    var hash = SHA256()
    hash.update(Array(key.utf8))
    hash.update(image)
    return Array(hash.finalize().utf8)
  }
}
