import Foundation
package import GPUBackend
import Storage
package import Tensor

/// A machine with a card that is pretended: `FakeCUDA` under the names of NVIDIA's libraries, and an
/// empty cache of kernels.
///
/// Each has a copy of its own, so that what one test breaks is whole for the next.
package final class CUDASandbox {
  private let folder: TemporaryFolder

  /// Names of the libraries without NCCL, those of CUDA 13.
  package static let names = ["libcuda.so.1", "libnvrtc.so.13", "libcublasLt.so.13"]

  /// - Parameters:
  ///   - instructions: What the fake is told; see `fake_cuda.h`.
  ///   - names: The libraries that there are.
  package init(_ instructions: String = "", names: [String] = CUDASandbox.names) throws {
    folder = try TemporaryFolder()
    try Files.createDirectory(libraries)
    let tests = URL(fileURLWithPath: CommandLine.arguments[0]).resolvingSymlinksInPath()
    let built = tests.deletingLastPathComponent().path + "/libFakeCUDA.so"
    try folder.write(try Files.contents(of: built), to: "fake.so")
    for name in names { try add(name) }
    tell(instructions)
  }

  /// The folder of the libraries.
  package var libraries: String { folder.path + "/libraries" }

  /// The folder that holds the cache.
  package var cachePath: String { folder.path + "/cache" }

  /// Adds a library under a name.
  package func add(_ name: String) throws {
    try FileManager.default.createSymbolicLink(
      atPath: libraries + "/" + name, withDestinationPath: folder.path + "/fake.so")
  }

  package var search: LibrarySearch { LibrarySearch(only: [libraries]) }

  package var cache: KernelCache { KernelCache(environment: ["XDG_CACHE_HOME": cachePath]) }

  package func driver(card: Int = 0) throws(DeviceError) -> CUDADriver {
    try CUDADriver(card: card, search: search, cache: cache)
  }

  /// Tells the fake what to pretend from now on.
  package func tell(_ instructions: String) {
    typealias Tell = @convention(c) (UnsafePointer<CChar>) -> Void
    unsafeBitCast(function("fake_cuda_tell"), to: Tell.self)(instructions)
  }

  /// How often a function was called, or what else the fake counts.
  package func count(_ name: String) -> Int {
    typealias Count = @convention(c) (UnsafePointer<CChar>) -> Int
    return unsafeBitCast(function("fake_cuda_count"), to: Count.self)(name)
  }

  private func function(_ name: String) -> UnsafeMutableRawPointer {
    guard let library = dlopen(folder.path + "/fake.so", RTLD_NOW | RTLD_LOCAL),
      let function = dlsym(library, name)
    else { preconditionFailure("\(name): \(dlerror().map { String(cString: $0) } ?? "")") }
    return function
  }
}
