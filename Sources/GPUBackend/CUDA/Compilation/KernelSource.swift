import CUDASource

/// The text of the kernels in this program.
struct KernelSource {
  /// A file that is compiled, with the headers that it may include.
  let name: String
  let text: UnsafePointer<CChar>
  let headers: [(name: UnsafePointer<CChar>, text: UnsafePointer<CChar>)]

  /// - Parameter file: A name without `.cu`; there must be such a file.
  init(_ file: String) {
    let all = Self.all
    guard let found = all.first(where: { String(cString: $0.name) == file + ".cu" }) else {
      preconditionFailure("there is no \(file).cu")
    }
    name = file + ".cu"
    text = found.text
    headers = all.filter { String(cString: $0.name).hasSuffix(".h") }.map { ($0.name, $0.text) }
  }

  /// Names of all files that are compiled, without `.cu`.
  static var files: [String] {
    all.map { String(cString: $0.name) }.filter { $0.hasSuffix(".cu") }.map {
      String($0.dropLast(3))
    }
  }

  private static var all: UnsafeBufferPointer<CUDASourceFile> {
    var count: Int32 = 0
    let first = cuda_source_files(&count)
    return UnsafeBufferPointer(start: first, count: Int(count))
  }
}

/// A file of kernels and what it is compiled with.
package struct KernelModule: Hashable, Sendable, CustomStringConvertible {
  /// The file's name without `.cu`.
  package let file: String
  /// Macros, as `WIDTH=64`.
  package let definitions: [String]

  package init(_ file: String, definitions: [String] = []) {
    self.file = file
    self.definitions = definitions
  }

  init(of kernel: GPUKernel) { self.init(kernel.file, definitions: kernel.definitions) }

  package var description: String {
    ([file + ".cu"] + definitions.map { "-D" + $0 }).joined(separator: " ")
  }
}
