/// Paths, generic arguments and lifetimes.
extension RustV0Demangler {
  mutating func path(inValue: Bool) throws(Invalid) {
    try nested { (me) throws(Invalid) in try me.pathBody(inValue: inValue) }
  }

  private mutating func pathBody(inValue: Bool) throws(Invalid) {
    let tag = try next()
    switch tag {
    case "C":
      _ = try optionalBase62("s")
      try write(identifier())
    case "N":
      try nestedPath(inValue: inValue)
    case "M", "X", "Y":
      if tag != "Y" {
        // Where the impl block stands; the type says it better.
        _ = try optionalBase62("s")
        try silently { (me) throws(Invalid) in try me.path(inValue: false) }
      }
      try write("<")
      try type()
      if tag != "M" {
        try write(" as ")
        try path(inValue: false)
      }
      try write(">")
    case "I":
      try path(inValue: inValue)
      try write(inValue ? "::<" : "<")
      try list { (me) throws(Invalid) in try me.genericArgument() }
      try write(">")
    case "B":
      try backReference { (me) throws(Invalid) in try me.path(inValue: inValue) }
    default:
      throw Invalid()
    }
  }

  private mutating func nestedPath(inValue: Bool) throws(Invalid) {
    let space = try next()
    try path(inValue: inValue)
    let disambiguator = try optionalBase62("s")
    let name = try identifier()
    switch space {
    case "A"..."Z":
      // Made by the compiler: closures and shims, told apart by number.
      let kind = space == "C" ? "closure" : space == "S" ? "shim" : String(Character(space))
      try write("::{\(kind)\(name.isEmpty ? "" : ":" + name)#\(disambiguator)}")
    case "a"..."z":
      if !name.isEmpty { try write("::" + name) }
    default:
      throw Invalid()
    }
  }

  mutating func genericArgument() throws(Invalid) {
    if eat("L") {
      try lifetime(base62())
    } else if eat("K") {
      try constant(inValue: false)
    } else {
      try type()
    }
  }

  /// A path that may end in generic arguments; true if their "<" is left open for more of them.
  mutating func openPath() throws(Invalid) -> Bool {
    if eat("B") {
      var open = false
      try backReference { (me) throws(Invalid) in open = try me.openPath() }
      return open
    }
    guard eat("I") else {
      try path(inValue: false)
      return false
    }
    try path(inValue: false)
    try write("<")
    try list { (me) throws(Invalid) in try me.genericArgument() }
    return true
  }

  /// Lifetimes count from the innermost binder; 0 is the erased one.
  mutating func lifetime(_ index: UInt64) throws(Invalid) {
    guard index > 0 else { return try write("'_") }
    // Skipped parts do not enter their binders.
    guard silence == 0 else { return }
    guard index <= boundLifetimes else { throw Invalid() }
    let number = boundLifetimes - index
    if number < 26 {
      try write("'" + String(Character(Unicode.Scalar(UInt8(ascii: "a") + UInt8(number)))))
    } else {
      try write("'_\(number)")
    }
  }

  /// `for<'a, …>` around a function or trait-object type.
  mutating func binder(_ body: (inout RustV0Demangler) throws(Invalid) -> Void) throws(Invalid) {
    let count = try optionalBase62("G")
    guard count <= 256 else { throw Invalid() }
    let outer = boundLifetimes
    if count > 0 {
      try write("for<")
      for index in 0..<count {
        if index > 0 { try write(", ") }
        boundLifetimes += 1
        try lifetime(1)
      }
      try write("> ")
    }
    try body(&self)
    boundLifetimes = outer
  }
}
