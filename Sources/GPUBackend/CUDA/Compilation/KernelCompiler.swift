import CCUDA
package import Tensor

/// NVRTC, which compiles kernels in this process; calls may come from several threads at once.
package struct KernelCompiler: Sendable {
  private let functions: NVRTCFunctions
  package let target: KernelTarget
  /// Version of the compiler, such as 13.0.
  let version: String

  /// - Parameters:
  ///   - functions: Of the library.
  ///   - card: The compute capability that is compiled for.
  init(_ functions: NVRTCFunctions, for card: CUDACard.Capability) throws(DeviceError) {
    var count: Int32 = 0
    _ = functions.nvrtcGetNumSupportedArchs(&count)
    var known = [Int32](repeating: 0, count: Int(count))
    if count > 0 { _ = functions.nvrtcGetSupportedArchs(&known) }
    self.init(functions, target: KernelTarget(for: card, known: known.map { Int($0) }))
  }

  private init(_ functions: NVRTCFunctions, target: KernelTarget) {
    self.functions = functions
    self.target = target
    var major: Int32 = 0
    var minor: Int32 = 0
    _ = functions.nvrtcVersion(&major, &minor)
    version = "\(major).\(minor)"
  }

  /// A compiler without a card or a driver, to see that the kernels compile.
  ///
  /// - Parameters:
  ///   - target: What to compile to.
  ///   - search: Where the library is looked for.
  package init(
    target: KernelTarget, search: LibrarySearch = LibrarySearch()
  ) throws(DeviceError) {
    self.init(try CUDALibraries.openCompiler(search), target: target)
  }

  /// Options of one file.
  func options(_ definitions: [String]) -> [String] {
    ["--gpu-architecture=" + target.architecture, "--std=c++17"] + definitions.map { "-D" + $0 }
  }

  /// The machine code of a file, or text for the driver to compile.
  ///
  /// - Throws: `DeviceError.failed` with the beginning of the compiler's log.
  package func compile(_ module: KernelModule) throws(DeviceError) -> [UInt8] {
    let source = KernelSource(module.file)
    var program: nvrtcProgram?
    let texts = source.headers.map { Optional($0.text) }
    let names = source.headers.map { Optional($0.name) }
    try check(
      functions.nvrtcCreateProgram(
        &program, source.text, source.name, Int32(texts.count), texts, names), module)
    defer { _ = functions.nvrtcDestroyProgram(&program) }
    let options = options(module.definitions)
    let result = Self.withCStrings(options) {
      functions.nvrtcCompileProgram(program, Int32(options.count), $0)
    }
    guard result == NVRTC_SUCCESS else {
      throw .failed(device: "cuda", problem: complaint(program, result, module))
    }
    return target.isMachineCode
      ? try image(module, program, functions.nvrtcGetCUBINSize, functions.nvrtcGetCUBIN)
      : try image(module, program, functions.nvrtcGetPTXSize, functions.nvrtcGetPTX)
  }

  private func image(
    _ module: KernelModule, _ program: nvrtcProgram?,
    _ size: (nvrtcProgram?, UnsafeMutablePointer<Int>?) -> nvrtcResult,
    _ bytes: (nvrtcProgram?, UnsafeMutablePointer<CChar>?) -> nvrtcResult
  ) throws(DeviceError) -> [UInt8] {
    var count = 0
    try check(size(program, &count), module)
    var image = [UInt8](repeating: 0, count: count)
    let result = image.withUnsafeMutableBytes {
      bytes(program, $0.assumingMemoryBound(to: CChar.self).baseAddress)
    }
    try check(result, module)
    return image
  }

  private func check(_ result: nvrtcResult, _ module: KernelModule) throws(DeviceError) {
    guard result != NVRTC_SUCCESS else { return }
    throw .failed(device: "cuda", problem: "\(module): the compiler says \(words(result))")
  }

  private func words(_ result: nvrtcResult) -> String {
    functions.nvrtcGetErrorString(result).map { String(cString: $0) } ?? "error \(result)"
  }

  /// Errors of the log, without what follows from the first few.
  private func complaint(
    _ program: nvrtcProgram?, _ result: nvrtcResult, _ module: KernelModule
  ) -> String {
    var count = 0
    _ = functions.nvrtcGetProgramLogSize(program, &count)
    var log = [CChar](repeating: 0, count: count + 1)
    _ = functions.nvrtcGetProgramLog(program, &log)
    let text = String(decoding: log.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    let lines = text.split(separator: "\n").filter { !$0.allSatisfy(\.isWhitespace) }
    let first = lines.prefix(8).joined(separator: "\n")
    let rest = lines.count > 8 ? "\n... \(lines.count - 8) more lines" : ""
    return "\(module) does not compile for \(target.architecture) with NVRTC \(version), "
      + "\(words(result)):\n\(first)\(rest)"
  }

  private static func withCStrings<Result>(
    _ strings: [String], _ body: (UnsafePointer<UnsafePointer<CChar>?>?) -> Result
  ) -> Result {
    let copies = strings.map { Array($0.utf8CString) }
    func next(_ index: Int, _ pointers: [UnsafePointer<CChar>?]) -> Result {
      guard index < copies.count else { return body(pointers) }
      return copies[index].withUnsafeBufferPointer {
        next(index + 1, pointers + [$0.baseAddress])
      }
    }
    return next(0, [])
  }
}
