import CCUDA
import Foundation
import Tensor

/// The kernels of a card: machine code that is loaded when its first kernel is launched.
final class CUDAKernels: @unchecked Sendable {
  private let context: CUDAContext
  private let library: KernelLibrary
  private let lock = NSLock()
  // Touched under `lock` alone.
  private var modules: [KernelModule: CUmodule] = [:]
  private var functions: [GPUKernel: Function] = [:]

  /// A kernel, and the most dynamic shared memory that it has been allowed.
  private struct Function {
    let handle: CUfunction
    var sharedBytes = 0
  }

  init(_ context: CUDAContext, _ library: KernelLibrary) {
    self.context = context
    self.library = library
  }

  deinit {
    context.enter()
    for module in modules.values { _ = context.driver.cuModuleUnload(module) }
  }

  func announce(_ modules: [KernelModule]) { library.announce(modules) }

  func launch(
    _ kernel: GPUKernel, grid: GPUGrid, block: Int, sharedBytes: Int,
    arguments: UnsafeMutableBufferPointer<UnsafeMutableRawPointer?>
  ) {
    guard context.isSound else { return }
    precondition(
      grid.y <= 65_535 && grid.z <= 65_535,
      "\(kernel.name): a grid of \(grid.x), \(grid.y), \(grid.z) blocks")
    do throws(DeviceError) {
      let function = try function(kernel, sharedBytes: sharedBytes)
      context.run("launching \(kernel.name)") {
        context.driver.cuLaunchKernel(
          function, UInt32(grid.x), UInt32(grid.y), UInt32(grid.z), UInt32(block), 1, 1,
          UInt32(sharedBytes), context.stream, arguments.baseAddress, nil)
      }
    } catch {
      context.fail(error)
    }
  }

  private func function(
    _ kernel: GPUKernel, sharedBytes: Int
  ) throws(DeviceError) -> CUfunction {
    lock.lock()
    defer { lock.unlock() }
    var function: Function
    if let known = functions[kernel] {
      function = known
    } else {
      function = Function(handle: try find(kernel))
      functions[kernel] = function
    }
    if sharedBytes > function.sharedBytes {
      context.enter()
      let result = context.driver.cuFuncSetAttribute(
        function.handle,
        CUfunction_attribute(CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES), Int32(sharedBytes))
      try check(result, "allowing \(kernel.name) \(sharedBytes) bytes of shared memory")
      function.sharedBytes = sharedBytes
      functions[kernel] = function
    }
    return function.handle
  }

  private func find(_ kernel: GPUKernel) throws(DeviceError) -> CUfunction {
    let module = try load(KernelModule(of: kernel))
    var function: CUfunction?
    context.enter()
    let result = context.driver.cuModuleGetFunction(&function, module, kernel.name)
    try check(result, "looking for \(kernel.name) in \(kernel.file).cu")
    guard let function else { preconditionFailure("\(kernel.name) is nowhere") }
    return function
  }

  private func load(_ module: KernelModule) throws(DeviceError) -> CUmodule {
    if let loaded = modules[module] { return loaded }
    // Text ends with a zero already; machine code has its size within.
    let image = try library.image(module)
    var loaded: CUmodule?
    context.enter()
    let result = image.withUnsafeBytes {
      context.driver.cuModuleLoadData(&loaded, $0.baseAddress)
    }
    try check(result, "loading \(module)")
    guard let loaded else { preconditionFailure("\(module) is nowhere") }
    modules[module] = loaded
    return loaded
  }

  private func check(_ result: CUresult, _ action: String) throws(DeviceError) {
    guard result != CUDA_SUCCESS else { return }
    let fault = CUDAFault(result, context.driver)
    if fault.isFinal { context.fail(result, doing: action) }
    throw fault.error(device: context.card.name, doing: action)
  }
}
