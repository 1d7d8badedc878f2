var __defProp = Object.defineProperty;
var __name = (target, value) => __defProp(target, "name", { value, configurable: true });
var __export = (target, all) => {
  for (var name in all)
    __defProp(target, name, { get: all[name], enumerable: true });
};

// node_modules/zod/v4/core/util.js
var util_exports = {};
__export(util_exports, {
  BIGINT_FORMAT_RANGES: () => BIGINT_FORMAT_RANGES,
  CONSTANT_CATCH: () => CONSTANT_CATCH,
  Class: () => Class,
  NUMBER_FORMAT_RANGES: () => NUMBER_FORMAT_RANGES,
  aborted: () => aborted,
  allowsEval: () => allowsEval,
  assert: () => assert,
  assertEqual: () => assertEqual,
  assertIs: () => assertIs,
  assertNever: () => assertNever,
  assertNotEqual: () => assertNotEqual,
  assignProp: () => assignProp,
  attachSchema: () => attachSchema,
  base64ToUint8Array: () => base64ToUint8Array,
  base64urlToUint8Array: () => base64urlToUint8Array,
  cached: () => cached,
  captureStackTrace: () => captureStackTrace,
  cleanEnum: () => cleanEnum,
  cleanRegex: () => cleanRegex,
  clone: () => clone,
  cloneDef: () => cloneDef,
  codePointLength: () => codePointLength,
  constantCatch: () => constantCatch,
  createTransparentProxy: () => createTransparentProxy,
  defineLazy: () => defineLazy,
  defineLazyInternal: () => defineLazyInternal,
  derived: () => derived,
  esc: () => esc,
  escapeRegex: () => escapeRegex,
  explicitlyAborted: () => explicitlyAborted,
  extend: () => extend,
  finalizeIssue: () => finalizeIssue,
  floatSafeRemainder: () => floatSafeRemainder,
  getElementAtPath: () => getElementAtPath,
  getEnumValues: () => getEnumValues,
  getLengthableOrigin: () => getLengthableOrigin,
  getParsedType: () => getParsedType,
  getSizableOrigin: () => getSizableOrigin,
  hexToUint8Array: () => hexToUint8Array,
  hide: () => hide,
  installLazyProp: () => installLazyProp,
  isObject: () => isObject,
  isPlainObject: () => isPlainObject,
  issue: () => issue,
  joinValues: () => joinValues,
  jsonStringifyReplacer: () => jsonStringifyReplacer,
  members: () => members,
  merge: () => merge,
  mergeDefs: () => mergeDefs,
  normalizeParams: () => normalizeParams,
  nullish: () => nullish,
  numKeys: () => numKeys,
  objectClone: () => objectClone,
  omit: () => omit,
  optionalKeys: () => optionalKeys,
  own: () => own,
  parsedType: () => parsedType,
  partial: () => partial,
  pick: () => pick,
  prefixIssues: () => prefixIssues,
  primitiveTypes: () => primitiveTypes,
  promiseAllObject: () => promiseAllObject,
  propertyKeyTypes: () => propertyKeyTypes,
  randomString: () => randomString,
  rawShape: () => rawShape,
  required: () => required,
  safeExtend: () => safeExtend,
  shallowClone: () => shallowClone,
  sizeCaps: () => sizeCaps,
  slugify: () => slugify,
  stringifyPrimitive: () => stringifyPrimitive,
  toZod: () => toZod,
  uint8ArrayToBase64: () => uint8ArrayToBase64,
  uint8ArrayToBase64url: () => uint8ArrayToBase64url,
  uint8ArrayToHex: () => uint8ArrayToHex,
  unwrapMessage: () => unwrapMessage
});
function assertEqual(val) {
  return val;
}
__name(assertEqual, "assertEqual");
function assertNotEqual(val) {
  return val;
}
__name(assertNotEqual, "assertNotEqual");
function toZod() {
  return (schema) => schema;
}
__name(toZod, "toZod");
function assertIs(_arg) {
}
__name(assertIs, "assertIs");
function assertNever(_x) {
  throw new Error("Unexpected value in exhaustive check");
}
__name(assertNever, "assertNever");
function assert(_) {
}
__name(assert, "assert");
function getEnumValues(entries) {
  const numericValues = Object.values(entries).filter((v) => typeof v === "number");
  const values = Object.entries(entries).filter(([k, _]) => numericValues.indexOf(+k) === -1).map(([_, v]) => v);
  return values;
}
__name(getEnumValues, "getEnumValues");
function joinValues(array2, separator = "|") {
  return array2.map((val) => stringifyPrimitive(val)).join(separator);
}
__name(joinValues, "joinValues");
function jsonStringifyReplacer(_, value) {
  if (typeof value === "bigint")
    return value.toString();
  return value;
}
__name(jsonStringifyReplacer, "jsonStringifyReplacer");
var Cached = class {
  static {
    __name(this, "Cached");
  }
  constructor(getter) {
    this._getter = getter;
    this._value = void 0;
  }
  get value() {
    const getter = this._getter;
    if (getter !== void 0) {
      this._value = getter();
      this._getter = void 0;
    }
    return this._value;
  }
};
function cached(getter) {
  return new Cached(getter);
}
__name(cached, "cached");
function nullish(input) {
  return input === null || input === void 0;
}
__name(nullish, "nullish");
function cleanRegex(source) {
  const start2 = source.startsWith("^") ? 1 : 0;
  const end = source.endsWith("$") ? source.length - 1 : source.length;
  return source.slice(start2, end);
}
__name(cleanRegex, "cleanRegex");
function floatSafeRemainder(val, step) {
  const ratio = val / step;
  const roundedRatio = Math.round(ratio);
  const tolerance = 4 * Number.EPSILON * Math.max(Math.abs(ratio), 1);
  if (Math.abs(ratio - roundedRatio) < tolerance)
    return 0;
  return ratio - roundedRatio;
}
__name(floatSafeRemainder, "floatSafeRemainder");
var EVALUATING = /* @__PURE__ */ Symbol("evaluating");
function defineLazy(object, key, getter) {
  let value = void 0;
  Object.defineProperty(object, key, {
    get() {
      if (value === EVALUATING) {
        return void 0;
      }
      if (value === void 0) {
        value = EVALUATING;
        value = getter();
      }
      return value;
    },
    set(v) {
      Object.defineProperty(object, key, {
        value: v
        // configurable: true,
      });
    },
    configurable: true
  });
}
__name(defineLazy, "defineLazy");
function objectClone(obj) {
  return Object.create(Object.getPrototypeOf(obj), Object.getOwnPropertyDescriptors(obj));
}
__name(objectClone, "objectClone");
function assignProp(target, prop, value) {
  Object.defineProperty(target, prop, {
    value,
    writable: true,
    enumerable: true,
    configurable: true
  });
}
__name(assignProp, "assignProp");
function rawShape(def) {
  const desc = Object.getOwnPropertyDescriptor(def, "shape");
  return desc?.get ? desc.get.raw : desc?.value;
}
__name(rawShape, "rawShape");
function sourceShape(schema) {
  return rawShape(schema._zod.def) ?? schema._zod.def.shape;
}
__name(sourceShape, "sourceShape");
function deferProp(target, key, getter) {
  Object.defineProperty(target, key, {
    get() {
      const value = getter();
      assignProp(this, key, value);
      return value;
    },
    enumerable: true,
    configurable: true
  });
}
__name(deferProp, "deferProp");
function putProp(target, key, value) {
  if (key in target)
    assignProp(target, key, value);
  else
    target[key] = value;
}
__name(putProp, "putProp");
function mirrorShape(target, source, keys, wrap2) {
  const raw = sourceShape(source);
  for (const key of keys) {
    const desc = Object.getOwnPropertyDescriptor(raw, key);
    if (!desc.enumerable)
      continue;
    if (desc.get) {
      deferProp(target, key, () => {
        const value = source._zod.def.shape[key];
        return wrap2 ? wrap2(value, key) : value;
      });
    } else
      putProp(target, key, wrap2 ? wrap2(desc.value, key) : desc.value);
  }
}
__name(mirrorShape, "mirrorShape");
function mirrorProps(target, source) {
  for (const key of Reflect.ownKeys(source)) {
    const desc = Object.getOwnPropertyDescriptor(source, key);
    if (!desc.enumerable)
      continue;
    if (desc.get)
      deferProp(target, key, () => source[key]);
    else
      putProp(target, key, desc.value);
  }
}
__name(mirrorProps, "mirrorProps");
function mergeDefs(...defs) {
  const mergedDescriptors = {};
  for (const def of defs) {
    const descriptors = Object.getOwnPropertyDescriptors(def);
    Object.assign(mergedDescriptors, descriptors);
  }
  return Object.defineProperties({}, mergedDescriptors);
}
__name(mergeDefs, "mergeDefs");
function cloneDef(schema) {
  return mergeDefs(schema._zod.def);
}
__name(cloneDef, "cloneDef");
function getElementAtPath(obj, path) {
  if (!path)
    return obj;
  return path.reduce((acc, key) => acc?.[key], obj);
}
__name(getElementAtPath, "getElementAtPath");
function promiseAllObject(promisesObj) {
  const keys = Object.keys(promisesObj);
  const promises = keys.map((key) => promisesObj[key]);
  return Promise.all(promises).then((results) => {
    const resolvedObj = {};
    for (let i = 0; i < keys.length; i++) {
      resolvedObj[keys[i]] = results[i];
    }
    return resolvedObj;
  });
}
__name(promiseAllObject, "promiseAllObject");
function randomString(length = 10) {
  const chars = "abcdefghijklmnopqrstuvwxyz";
  let str = "";
  for (let i = 0; i < length; i++) {
    str += chars[Math.floor(Math.random() * chars.length)];
  }
  return str;
}
__name(randomString, "randomString");
function esc(str) {
  return JSON.stringify(str);
}
__name(esc, "esc");
function slugify(input) {
  return input.toLowerCase().trim().replace(/[^\w\s-]/g, "").replace(/[\s_-]+/g, "-").replace(/^-+|-+$/g, "");
}
__name(slugify, "slugify");
var captureStackTrace = "captureStackTrace" in Error ? Error.captureStackTrace : (..._args) => {
};
function isObject(data) {
  return typeof data === "object" && data !== null && !Array.isArray(data);
}
__name(isObject, "isObject");
var allowsEval = /* @__PURE__ */ cached(() => {
  if (globalConfig.jitless) {
    return false;
  }
  if (typeof navigator !== "undefined" && "Cloudflare-Workers"?.includes("Cloudflare")) {
    return false;
  }
  try {
    const F = Function;
    new F("");
    return true;
  } catch (_) {
    return false;
  }
});
function isPlainObject(o) {
  if (isObject(o) === false)
    return false;
  const ctor = o.constructor;
  if (ctor === void 0)
    return true;
  if (typeof ctor !== "function")
    return true;
  const prot = ctor.prototype;
  if (isObject(prot) === false)
    return false;
  if (Object.prototype.hasOwnProperty.call(prot, "isPrototypeOf") === false) {
    return false;
  }
  return true;
}
__name(isPlainObject, "isPlainObject");
function shallowClone(o) {
  if (isPlainObject(o))
    return { ...o };
  if (Array.isArray(o))
    return [...o];
  if (o instanceof Map)
    return new Map(o);
  if (o instanceof Set)
    return new Set(o);
  return o;
}
__name(shallowClone, "shallowClone");
function numKeys(data) {
  let keyCount = 0;
  for (const key in data) {
    if (Object.prototype.hasOwnProperty.call(data, key)) {
      keyCount++;
    }
  }
  return keyCount;
}
__name(numKeys, "numKeys");
var getParsedType = /* @__PURE__ */ __name((data) => {
  const t = typeof data;
  switch (t) {
    case "undefined":
      return "undefined";
    case "string":
      return "string";
    case "number":
      return Number.isNaN(data) ? "nan" : "number";
    case "boolean":
      return "boolean";
    case "function":
      return "function";
    case "bigint":
      return "bigint";
    case "symbol":
      return "symbol";
    case "object":
      if (Array.isArray(data)) {
        return "array";
      }
      if (data === null) {
        return "null";
      }
      if (data.then && typeof data.then === "function" && data.catch && typeof data.catch === "function") {
        return "promise";
      }
      if (typeof Map !== "undefined" && data instanceof Map) {
        return "map";
      }
      if (typeof Set !== "undefined" && data instanceof Set) {
        return "set";
      }
      if (typeof Date !== "undefined" && data instanceof Date) {
        return "date";
      }
      if (typeof File !== "undefined" && data instanceof File) {
        return "file";
      }
      return "object";
    default:
      throw new Error(`Unknown data type: ${t}`);
  }
}, "getParsedType");
var propertyKeyTypes = /* @__PURE__ */ new Set(["string", "number", "symbol"]);
var primitiveTypes = /* @__PURE__ */ new Set([
  "string",
  "number",
  "bigint",
  "boolean",
  "symbol",
  "undefined"
]);
function escapeRegex(str) {
  return str.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
}
__name(escapeRegex, "escapeRegex");
function clone(inst, def, params) {
  const cl = new inst._zod.constr(def ?? inst._zod.def);
  if (!def || params?.parent)
    cl._zod.parent = inst;
  return cl;
}
__name(clone, "clone");
function normalizeParams(_params) {
  const params = _params;
  if (!params)
    return {};
  if (typeof params === "string")
    return { error: /* @__PURE__ */ __name(() => params, "error") };
  if (params?.message !== void 0) {
    if (params?.error !== void 0)
      throw new Error("Cannot specify both `message` and `error` params");
    params.error = params.message;
  }
  delete params.message;
  if (typeof params.error === "string")
    return { ...params, error: /* @__PURE__ */ __name(() => params.error, "error") };
  return params;
}
__name(normalizeParams, "normalizeParams");
function createTransparentProxy(getter) {
  let target;
  return new Proxy({}, {
    get(_, prop, receiver) {
      target ?? (target = getter());
      return Reflect.get(target, prop, receiver);
    },
    set(_, prop, value, receiver) {
      target ?? (target = getter());
      return Reflect.set(target, prop, value, receiver);
    },
    has(_, prop) {
      target ?? (target = getter());
      return Reflect.has(target, prop);
    },
    deleteProperty(_, prop) {
      target ?? (target = getter());
      return Reflect.deleteProperty(target, prop);
    },
    ownKeys(_) {
      target ?? (target = getter());
      return Reflect.ownKeys(target);
    },
    getOwnPropertyDescriptor(_, prop) {
      target ?? (target = getter());
      return Reflect.getOwnPropertyDescriptor(target, prop);
    },
    defineProperty(_, prop, descriptor) {
      target ?? (target = getter());
      return Reflect.defineProperty(target, prop, descriptor);
    }
  });
}
__name(createTransparentProxy, "createTransparentProxy");
function stringifyPrimitive(value) {
  if (typeof value === "bigint")
    return value.toString() + "n";
  if (typeof value === "string")
    return `"${value}"`;
  return `${value}`;
}
__name(stringifyPrimitive, "stringifyPrimitive");
function optionalKeys(shape) {
  return Object.keys(shape).filter((k) => {
    return shape[k]._zod.optin !== void 0 && shape[k]._zod.optout === "optional";
  });
}
__name(optionalKeys, "optionalKeys");
var NUMBER_FORMAT_RANGES = /* @__PURE__ */ (() => ({
  safeint: [Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER],
  int32: [-2147483648, 2147483647],
  uint32: [0, 4294967295],
  float32: [-34028234663852886e22, 34028234663852886e22],
  float64: [-Number.MAX_VALUE, Number.MAX_VALUE]
}))();
var BIGINT_FORMAT_RANGES = {
  int64: [/* @__PURE__ */ BigInt("-9223372036854775808"), /* @__PURE__ */ BigInt("9223372036854775807")],
  uint64: [/* @__PURE__ */ BigInt(0), /* @__PURE__ */ BigInt("18446744073709551615")]
};
function pick(schema, mask) {
  const currDef = schema._zod.def;
  const checks = currDef.checks;
  const hasChecks = checks && checks.length > 0;
  if (hasChecks) {
    throw new Error(".pick() cannot be used on object schemas containing refinements");
  }
  const newShape = {};
  mirrorShape(newShape, schema, maskedKeys(schema, mask));
  return clone(schema, mergeDefs(currDef, { shape: newShape, checks: [] }));
}
__name(pick, "pick");
function maskedKeys(schema, mask) {
  const raw = sourceShape(schema);
  const keys = [];
  for (const key of Reflect.ownKeys(mask)) {
    if (!Object.getOwnPropertyDescriptor(raw, key)?.enumerable) {
      throw new Error(`Unrecognized key: "${String(key)}"`);
    }
    if (mask[key])
      keys.push(key);
  }
  return keys;
}
__name(maskedKeys, "maskedKeys");
function omit(schema, mask) {
  const currDef = schema._zod.def;
  const checks = currDef.checks;
  const hasChecks = checks && checks.length > 0;
  if (hasChecks) {
    throw new Error(".omit() cannot be used on object schemas containing refinements");
  }
  const omitted = new Set(maskedKeys(schema, mask));
  const newShape = {};
  mirrorShape(newShape, schema, Reflect.ownKeys(sourceShape(schema)).filter((key) => !omitted.has(key)));
  return clone(schema, mergeDefs(currDef, { shape: newShape, checks: [] }));
}
__name(omit, "omit");
function extend(schema, shape) {
  if (!isPlainObject(shape)) {
    throw new Error("Invalid input to extend: expected a plain object");
  }
  const checks = schema._zod.def.checks;
  const hasChecks = checks && checks.length > 0;
  if (hasChecks) {
    const existingShape = sourceShape(schema);
    for (const key of Reflect.ownKeys(shape)) {
      if (Object.getOwnPropertyDescriptor(existingShape, key) !== void 0) {
        throw new Error("Cannot overwrite keys on object schemas containing refinements. Use `.safeExtend()` instead.");
      }
    }
  }
  return clone(schema, mergeDefs(schema._zod.def, { shape: extended(schema, shape) }));
}
__name(extend, "extend");
function extended(schema, shape) {
  const newShape = {};
  mirrorShape(newShape, schema, Reflect.ownKeys(sourceShape(schema)));
  mirrorProps(newShape, shape);
  return newShape;
}
__name(extended, "extended");
function safeExtend(schema, shape) {
  if (!isPlainObject(shape)) {
    throw new Error("Invalid input to safeExtend: expected a plain object");
  }
  return clone(schema, mergeDefs(schema._zod.def, { shape: extended(schema, shape) }));
}
__name(safeExtend, "safeExtend");
function merge(a, b) {
  if (!b?._zod?.def) {
    throw new Error("Invalid input to merge: expected an object schema. To merge a plain shape, use `.extend()`.");
  }
  if (a._zod.def.checks?.length) {
    throw new Error(".merge() cannot be used on object schemas containing refinements. Use .safeExtend() instead.");
  }
  const newShape = {};
  mirrorShape(newShape, a, Reflect.ownKeys(sourceShape(a)));
  mirrorShape(newShape, b, Reflect.ownKeys(sourceShape(b)));
  const def = mergeDefs(a._zod.def, {
    shape: newShape,
    get catchall() {
      return b._zod.def.catchall;
    },
    checks: b._zod.def.checks ?? []
  });
  return clone(a, def);
}
__name(merge, "merge");
function partial(Class2, schema, mask, name = "partial") {
  const currDef = schema._zod.def;
  const checks = currDef.checks;
  const hasChecks = checks && checks.length > 0;
  if (hasChecks) {
    throw new Error(`.${name}() cannot be used on object schemas containing refinements`);
  }
  const selected = mask ? new Set(maskedKeys(schema, mask)) : void 0;
  const newShape = {};
  mirrorShape(newShape, schema, Reflect.ownKeys(sourceShape(schema)), Class2 && ((value, key) => selected && !selected.has(key) ? value : new Class2({ type: "optional", innerType: value })));
  return clone(schema, mergeDefs(schema._zod.def, { shape: newShape, checks: [] }));
}
__name(partial, "partial");
function required(Class2, schema, mask) {
  const selected = mask ? new Set(maskedKeys(schema, mask)) : void 0;
  const newShape = {};
  mirrorShape(newShape, schema, Reflect.ownKeys(sourceShape(schema)), (value, key) => (
    // overwrite with non-optional
    selected && !selected.has(key) ? value : new Class2({ type: "nonoptional", innerType: value })
  ));
  return clone(schema, mergeDefs(schema._zod.def, { shape: newShape }));
}
__name(required, "required");
function aborted(x, startIndex = 0) {
  if (x.aborted === true)
    return true;
  for (let i = startIndex; i < x.issues.length; i++) {
    if (x.issues[i]?.continue !== true) {
      return true;
    }
  }
  return false;
}
__name(aborted, "aborted");
function explicitlyAborted(x, startIndex = 0) {
  if (x.aborted === true)
    return true;
  for (let i = startIndex; i < x.issues.length; i++) {
    if (x.issues[i]?.continue === false) {
      return true;
    }
  }
  return false;
}
__name(explicitlyAborted, "explicitlyAborted");
function prefixIssues(path, issues) {
  return issues.map((iss) => {
    var _a3;
    (_a3 = iss).path ?? (_a3.path = []);
    iss.path.unshift(path);
    return iss;
  });
}
__name(prefixIssues, "prefixIssues");
function unwrapMessage(message) {
  return typeof message === "string" ? message : message?.message;
}
__name(unwrapMessage, "unwrapMessage");
function sizeCaps(defChecks) {
  const caps = [];
  for (const ch of defChecks ?? []) {
    const d = ch._zod.def;
    if (!/_(length|size)$|_equals$/.test(d.check))
      break;
    const max = d.maximum ?? d.length ?? d.size;
    if (max >= 0)
      caps.push([max, ch]);
  }
  return caps;
}
__name(sizeCaps, "sizeCaps");
function attachSchema(issues, start2, inst) {
  var _a3;
  for (let i = start2; i < issues.length; i++) {
    (_a3 = issues[i]).schema ?? (_a3.schema = inst);
  }
}
__name(attachSchema, "attachSchema");
function finalizeIssue(iss, ctx, config2) {
  var _a3;
  const traits = iss.inst?._zod?.traits;
  if (traits?.has("$ZodType")) {
    if (traits.has("$ZodCheck"))
      (_a3 = iss).schema ?? (_a3.schema = iss.inst);
    else
      iss.schema = iss.inst;
  }
  const schemaError = iss.schema !== iss.inst ? iss.schema?._zod.def?.error : void 0;
  const message = iss.message ? iss.message : unwrapMessage(iss.inst?._zod.def?.error?.(iss)) ?? unwrapMessage(schemaError?.(iss)) ?? unwrapMessage(ctx?.error?.(iss)) ?? unwrapMessage(config2.customError?.(iss)) ?? unwrapMessage(config2.localeError?.(iss)) ?? "Invalid input";
  const full = {};
  for (const k of Object.keys(iss)) {
    if (k === "inst" || k === "schema" || k === "continue" || k === "input" || k === "__proto__")
      continue;
    full[k] = iss[k];
  }
  full.path ?? (full.path = []);
  full.message = message;
  if (ctx?.reportInput) {
    full.input = iss.input;
  }
  return full;
}
__name(finalizeIssue, "finalizeIssue");
function getSizableOrigin(input) {
  if (input instanceof Set)
    return "set";
  if (input instanceof Map)
    return "map";
  if (input instanceof File)
    return "file";
  return "unknown";
}
__name(getSizableOrigin, "getSizableOrigin");
var highSurrogate = /[\uD800-\uDBFF]/;
function codePointLength(str) {
  const units = str.length;
  if (!highSurrogate.test(str))
    return units;
  let count = units;
  for (let i = 0; i < units - 1; i++) {
    if ((str.charCodeAt(i) & 64512) === 55296 && (str.charCodeAt(i + 1) & 64512) === 56320) {
      count--;
      i++;
    }
  }
  return count;
}
__name(codePointLength, "codePointLength");
function getLengthableOrigin(input) {
  if (Array.isArray(input))
    return "array";
  if (typeof input === "string")
    return "string";
  return "unknown";
}
__name(getLengthableOrigin, "getLengthableOrigin");
function parsedType(data) {
  const t = typeof data;
  switch (t) {
    case "number": {
      return Number.isNaN(data) ? "nan" : "number";
    }
    case "object": {
      if (data === null) {
        return "null";
      }
      if (Array.isArray(data)) {
        return "array";
      }
      const obj = data;
      if (obj && Object.getPrototypeOf(obj) !== Object.prototype && "constructor" in obj && obj.constructor) {
        return obj.constructor.name;
      }
    }
  }
  return t;
}
__name(parsedType, "parsedType");
function issue(...args) {
  const [iss, input, inst] = args;
  if (typeof iss === "string") {
    return {
      message: iss,
      code: "custom",
      input,
      inst
    };
  }
  return { ...iss };
}
__name(issue, "issue");
function cleanEnum(obj) {
  return Object.entries(obj).filter(([k, _]) => {
    return Number.isNaN(Number.parseInt(k, 10));
  }).map((el) => el[1]);
}
__name(cleanEnum, "cleanEnum");
function base64ToUint8Array(base642) {
  const binaryString = atob(base642);
  const bytes = new Uint8Array(binaryString.length);
  for (let i = 0; i < binaryString.length; i++) {
    bytes[i] = binaryString.charCodeAt(i);
  }
  return bytes;
}
__name(base64ToUint8Array, "base64ToUint8Array");
function uint8ArrayToBase64(bytes) {
  let binaryString = "";
  for (let i = 0; i < bytes.length; i++) {
    binaryString += String.fromCharCode(bytes[i]);
  }
  return btoa(binaryString);
}
__name(uint8ArrayToBase64, "uint8ArrayToBase64");
function base64urlToUint8Array(base64url2) {
  const base642 = base64url2.replace(/-/g, "+").replace(/_/g, "/");
  const padding = "=".repeat((4 - base642.length % 4) % 4);
  return base64ToUint8Array(base642 + padding);
}
__name(base64urlToUint8Array, "base64urlToUint8Array");
function uint8ArrayToBase64url(bytes) {
  return uint8ArrayToBase64(bytes).replace(/\+/g, "-").replace(/\//g, "_").replace(/=/g, "");
}
__name(uint8ArrayToBase64url, "uint8ArrayToBase64url");
function hexToUint8Array(hex) {
  const cleanHex = hex.replace(/^0x/, "");
  if (cleanHex.length % 2 !== 0) {
    throw new Error("Invalid hex string length");
  }
  const bytes = new Uint8Array(cleanHex.length / 2);
  for (let i = 0; i < cleanHex.length; i += 2) {
    bytes[i / 2] = Number.parseInt(cleanHex.slice(i, i + 2), 16);
  }
  return bytes;
}
__name(hexToUint8Array, "hexToUint8Array");
function uint8ArrayToHex(bytes) {
  return Array.from(bytes).map((b) => b.toString(16).padStart(2, "0")).join("");
}
__name(uint8ArrayToHex, "uint8ArrayToHex");
var Class = class {
  static {
    __name(this, "Class");
  }
  constructor(..._args) {
  }
};
function members(proto, table) {
  for (const key in table) {
    const desc = Object.getOwnPropertyDescriptor(table, key);
    if (desc.get)
      Object.defineProperty(proto, key, { ...desc, enumerable: false });
    else
      defineBound(proto, key, desc.value);
  }
}
__name(members, "members");
function own(inst, key, value, enumerable = true) {
  Object.defineProperty(inst, key, { configurable: true, writable: true, enumerable, value });
  return value;
}
__name(own, "own");
function hide(inst, key, value) {
  return own(inst, key, value, false);
}
__name(hide, "hide");
// @__NO_SIDE_EFFECTS__
function derived(computes, table) {
  for (const key in computes) {
    const compute = computes[key];
    Object.defineProperty(table, key, {
      configurable: true,
      enumerable: true,
      get() {
        return own(this, key, compute(this));
      },
      set(value) {
        own(this, key, value);
      }
    });
  }
  return table;
}
__name(derived, "derived");
function defineBound(proto, key, fn) {
  Object.defineProperty(proto, key, {
    configurable: true,
    get() {
      return this == null ? fn : own(this, key, fn.bind(this));
    },
    set(value) {
      own(this, key, value);
    }
  });
}
__name(defineBound, "defineBound");
function claim(inst, sentinel) {
  const proto = Object.getPrototypeOf(inst);
  return sentinel in proto ? void 0 : proto;
}
__name(claim, "claim");
var installing;
var broke = false;
var breaker = {
  configurable: true,
  get() {
    broke = true;
    return void 0;
  }
};
function defineLazyInternal(inst, key, compute) {
  const proto = Object.getPrototypeOf(inst._zod);
  if (key in proto && installing !== inst._zod) {
    installing = void 0;
    return;
  }
  installing = inst._zod;
  Object.defineProperty(proto, key, {
    configurable: true,
    get() {
      Object.defineProperty(this, key, breaker);
      const outer = broke;
      broke = false;
      try {
        const value = compute(this);
        if (broke)
          delete this[key];
        else
          Object.defineProperty(this, key, { configurable: true, writable: true, value });
        broke = broke || outer;
        return value;
      } catch (err) {
        delete this[key];
        broke = broke || outer;
        throw err;
      }
    },
    set(value) {
      Object.defineProperty(this, key, { configurable: true, writable: true, value });
    }
  });
}
__name(defineLazyInternal, "defineLazyInternal");
function installLazyProp(inst, key, make, enumerable) {
  const proto = claim(inst, key);
  if (!proto)
    return;
  Object.defineProperty(proto, key, {
    configurable: true,
    get() {
      const desc = { configurable: true, writable: true, enumerable, value: void 0 };
      Object.defineProperty(this, key, desc);
      desc.value = make(this);
      Object.defineProperty(this, key, desc);
      return desc.value;
    },
    set(value) {
      Object.defineProperty(this, key, { configurable: true, writable: true, enumerable, value });
    }
  });
}
__name(installLazyProp, "installLazyProp");
var CONSTANT_CATCH = "~constantCatch";
function constantCatch(value) {
  const fn = /* @__PURE__ */ __name(() => value, "fn");
  fn[CONSTANT_CATCH] = true;
  return fn;
}
__name(constantCatch, "constantCatch");

// node_modules/zod/v4/core/core.js
var _a;
var _zodDesc = { value: void 0, enumerable: false };
var _E = "captureStackTrace" in Error ? Error : null;
function newError(Definition) {
  const E = _E;
  if (E) {
    const saved = E.stackTraceLimit;
    if (typeof saved === "number") {
      try {
        E.stackTraceLimit = 0;
      } catch {
        _E = null;
        return new Definition();
      }
      try {
        return new Definition();
      } finally {
        E.stackTraceLimit = saved;
      }
    }
  }
  return new Definition();
}
__name(newError, "newError");
// @__NO_SIDE_EFFECTS__
function $constructor(name, initializer3, proto, params) {
  const zodProto = {};
  function Internals(def) {
    this.def = def;
    this.constr = _;
    this.traits = /* @__PURE__ */ new Set();
  }
  __name(Internals, "Internals");
  Internals.prototype = zodProto;
  const protoMembers = proto;
  const initialized = protoMembers && /* @__PURE__ */ new WeakSet();
  function init(inst, def) {
    if (!inst._zod) {
      _zodDesc.value = new Internals(def);
      try {
        Object.defineProperty(inst, "_zod", _zodDesc);
      } finally {
        _zodDesc.value = void 0;
      }
    } else if (inst._zod.traits.has(name)) {
      return;
    }
    inst._zod.traits.add(name);
    initializer3(inst, def);
    if (initialized) {
      const own2 = Object.getPrototypeOf(inst);
      const ctorProto = inst._zod.constr.prototype;
      let up = own2;
      while (up && up !== ctorProto)
        up = Object.getPrototypeOf(up);
      const target = up ?? own2;
      if (!initialized.has(target)) {
        initialized.add(target);
        members(target, protoMembers);
      }
    }
    const proto2 = _.prototype;
    for (const k in proto2) {
      if (!Object.prototype.hasOwnProperty.call(proto2, k))
        continue;
      if (!(k in inst)) {
        inst[k] = proto2[k].bind(inst);
      }
    }
  }
  __name(init, "init");
  const Parent = params?.Parent ?? Object;
  class Definition extends Parent {
    static {
      __name(this, "Definition");
    }
  }
  Object.defineProperty(Definition, "name", { value: name });
  function _(def) {
    const inst = params?.Parent ? newError(Definition) : this;
    init(inst, def);
    const deferred = inst._zod.deferred;
    if (deferred) {
      for (const fn of deferred) {
        fn();
      }
      inst._zod.deferred = void 0;
    }
    const pp = globalThis.__zod_globalConfig?.postProcessor;
    if (pp)
      pp(inst);
    return inst;
  }
  __name(_, "_");
  Object.defineProperty(_, "init", { value: init });
  Object.defineProperty(_, Symbol.hasInstance, {
    value: /* @__PURE__ */ __name((inst) => {
      if (params?.Parent && inst instanceof params.Parent)
        return true;
      return inst?._zod?.traits?.has(name);
    }, "value")
  });
  Object.defineProperty(_, "name", { value: name });
  return _;
}
__name($constructor, "$constructor");
var $ZodAsyncError = class extends Error {
  static {
    __name(this, "$ZodAsyncError");
  }
  constructor() {
    super(`Encountered Promise during synchronous parse. Use .parseAsync() instead.`);
  }
};
var $ZodEncodeError = class extends Error {
  static {
    __name(this, "$ZodEncodeError");
  }
  constructor(name) {
    super(`Encountered unidirectional transform during encode: ${name}`);
    this.name = "ZodEncodeError";
  }
};
(_a = globalThis).__zod_globalConfig ?? (_a.__zod_globalConfig = {});
var globalConfig = globalThis.__zod_globalConfig;
function config(newConfig) {
  if (newConfig)
    Object.assign(globalConfig, newConfig);
  return globalConfig;
}
__name(config, "config");

// node_modules/zod/v4/core/errors.js
function _getMessage() {
  const internals = this._zod;
  internals.message ?? (internals.message = JSON.stringify(internals.def, jsonStringifyReplacer, 2));
  return internals.message;
}
__name(_getMessage, "_getMessage");
function _setMessage(value) {
  this._zod.message = value;
}
__name(_setMessage, "_setMessage");
var _messageDesc = {
  get: _getMessage,
  set: _setMessage,
  enumerable: true,
  configurable: true
};
var _issuesDesc = { value: void 0, enumerable: false };
var _installedToString = /* @__PURE__ */ new WeakSet([Object.prototype, Error.prototype]);
var initializer = /* @__PURE__ */ __name((inst, def) => {
  inst.name = "$ZodError";
  _issuesDesc.value = def;
  Object.defineProperty(inst, "issues", _issuesDesc);
  _issuesDesc.value = void 0;
  Object.defineProperty(inst, "message", _messageDesc);
  const proto = Object.getPrototypeOf(inst);
  if (!_installedToString.has(proto)) {
    _installedToString.add(proto);
    Object.defineProperty(proto, "toString", {
      configurable: true,
      enumerable: false,
      get() {
        const value = /* @__PURE__ */ __name(() => this.message, "value");
        Object.defineProperty(this, "toString", { value, configurable: true, writable: true });
        return value;
      },
      set(value) {
        Object.defineProperty(this, "toString", { value, configurable: true, writable: true });
      }
    });
  }
}, "initializer");
var $ZodError = $constructor("$ZodError", initializer);
var $ZodRealError = $constructor("$ZodError", initializer, void 0, {
  Parent: Error
});
function node(obj, key, make) {
  if (!Object.prototype.hasOwnProperty.call(obj, key)) {
    if (key === "__proto__") {
      Object.defineProperty(obj, key, { value: make(), writable: true, enumerable: true, configurable: true });
    } else {
      obj[key] = make();
    }
  }
  return obj[key];
}
__name(node, "node");
function flattenError(error2, mapper = (issue2) => issue2.message) {
  const fieldErrors = {};
  const formErrors = [];
  for (const sub of error2.issues) {
    if (sub.path.length > 0) {
      node(fieldErrors, sub.path[0], () => []).push(mapper(sub));
    } else {
      formErrors.push(mapper(sub));
    }
  }
  return { formErrors, fieldErrors };
}
__name(flattenError, "flattenError");
function formatError(error2, mapper = (issue2) => issue2.message) {
  const fieldErrors = { _errors: [] };
  const processError = /* @__PURE__ */ __name((error3, path = []) => {
    for (const issue2 of error3.issues) {
      if (issue2.code === "invalid_union" && issue2.errors.length) {
        issue2.errors.map((issues) => processError({ issues }, [...path, ...issue2.path]));
      } else if (issue2.code === "invalid_key") {
        processError({ issues: issue2.issues }, [...path, ...issue2.path]);
      } else if (issue2.code === "invalid_element") {
        processError({ issues: issue2.issues }, [...path, ...issue2.path]);
      } else {
        const fullpath = [...path, ...issue2.path];
        if (fullpath.length === 0) {
          fieldErrors._errors.push(mapper(issue2));
        } else {
          let curr = fieldErrors;
          let i = 0;
          while (i < fullpath.length) {
            const el = fullpath[i];
            const terminal = i === fullpath.length - 1;
            if (el === "_errors") {
              if (terminal)
                curr._errors.push(mapper(issue2));
              i++;
              continue;
            }
            if (!Object.prototype.hasOwnProperty.call(curr, el)) {
              Object.defineProperty(curr, el, {
                value: { _errors: [] },
                enumerable: true,
                writable: true,
                configurable: true
              });
            }
            const node2 = curr[el];
            if (terminal) {
              node2._errors.push(mapper(issue2));
            }
            curr = node2;
            i++;
          }
        }
      }
    }
  }, "processError");
  processError(error2);
  return fieldErrors;
}
__name(formatError, "formatError");

// node_modules/zod/v4/core/parse.js
function finalizeParams(callee, params) {
  return { callee: params?.callee ?? callee, Err: params?.Err };
}
__name(finalizeParams, "finalizeParams");
var _parse = /* @__PURE__ */ __name((_Err) => {
  const fn = /* @__PURE__ */ __name((schema, value, _ctx, _params) => {
    const ctx = _ctx ? { ..._ctx, async: false } : { async: false };
    const result = schema._zod.run({ value, issues: [] }, ctx);
    if (result instanceof Promise) {
      throw new $ZodAsyncError();
    }
    if (result.issues.length) {
      const e = new (_params?.Err ?? _Err)(result.issues.map((iss) => finalizeIssue(iss, ctx, config())));
      captureStackTrace(e, _params?.callee ?? fn);
      throw e;
    }
    return result.value;
  }, "fn");
  return fn;
}, "_parse");
var _parseAsync = /* @__PURE__ */ __name((_Err) => {
  const fn = /* @__PURE__ */ __name(async (schema, value, _ctx, params) => {
    const ctx = _ctx ? { ..._ctx, async: true } : { async: true };
    let result = schema._zod.run({ value, issues: [] }, ctx);
    if (result instanceof Promise)
      result = await result;
    if (result.issues.length) {
      const e = new (params?.Err ?? _Err)(result.issues.map((iss) => finalizeIssue(iss, ctx, config())));
      captureStackTrace(e, params?.callee ?? fn);
      throw e;
    }
    return result.value;
  }, "fn");
  return fn;
}, "_parseAsync");
var _safeParse = /* @__PURE__ */ __name((_Err) => (schema, value, _ctx) => {
  const ctx = _ctx ? { ..._ctx, async: false } : { async: false };
  const result = schema._zod.run({ value, issues: [] }, ctx);
  if (result instanceof Promise) {
    throw new $ZodAsyncError();
  }
  return result.issues.length ? failure(_Err, result.issues, ctx) : { success: true, data: result.value };
}, "_safeParse");
function failure(Err, issues, ctx) {
  let error2;
  return {
    success: false,
    get error() {
      if (!error2) {
        error2 = new Err(issues.map((iss) => finalizeIssue(iss, ctx, config())));
        issues = void 0;
        ctx = void 0;
      }
      return error2;
    },
    set error(e) {
      error2 = e;
      issues = void 0;
      ctx = void 0;
    }
  };
}
__name(failure, "failure");
var _safeParseAsync = /* @__PURE__ */ __name((_Err) => async (schema, value, _ctx) => {
  const ctx = _ctx ? { ..._ctx, async: true } : { async: true };
  let result = schema._zod.run({ value, issues: [] }, ctx);
  if (result instanceof Promise)
    result = await result;
  return result.issues.length ? failure(_Err, result.issues, ctx) : { success: true, data: result.value };
}, "_safeParseAsync");
var COMPILE_INVALID = /* @__PURE__ */ Symbol.for("zod.compile.invalid");
var COMPILE_FALLBACK = /* @__PURE__ */ Symbol.for("zod.compile.fallback");
var validate = /* @__PURE__ */ __name(((schema, value, _ctx) => {
  const validator = schema._zod.bag.validator;
  if (validator !== void 0) {
    if (validator(value) !== COMPILE_INVALID)
      return true;
    if (validator.definite === true && _ctx === void 0)
      return false;
  }
  return validateFallback(schema, value, _ctx);
}), "validate");
function validateFallback(schema, value, _ctx) {
  const ctx = _ctx ? { ..._ctx, async: false, abortEarly: true } : { async: false, abortEarly: true };
  const fallbackRun = schema._zod.bag.fallbackRun;
  let result;
  if (fallbackRun) {
    ctx[COMPILE_FALLBACK] = true;
    result = fallbackRun({ value, issues: [] }, ctx);
  } else {
    result = schema._zod.run({ value, issues: [] }, ctx);
  }
  if (result instanceof Promise) {
    throw new $ZodAsyncError();
  }
  return result.issues.length === 0;
}
__name(validateFallback, "validateFallback");
var validateAsync = /* @__PURE__ */ __name(async (schema, value, _ctx) => {
  const ctx = _ctx ? { ..._ctx, async: true, abortEarly: true } : { async: true, abortEarly: true };
  let result = schema._zod.run({ value, issues: [] }, ctx);
  if (result instanceof Promise)
    result = await result;
  return result.issues.length === 0;
}, "validateAsync");
var _encode = /* @__PURE__ */ __name((_Err) => {
  const parse2 = _parse(_Err);
  const fn = /* @__PURE__ */ __name((schema, value, _ctx, _params) => {
    const ctx = _ctx ? { ..._ctx, direction: "backward" } : { direction: "backward" };
    return parse2(schema, value, ctx, finalizeParams(fn, _params));
  }, "fn");
  return fn;
}, "_encode");
var _decode = /* @__PURE__ */ __name((_Err) => {
  const parse2 = _parse(_Err);
  const fn = /* @__PURE__ */ __name((schema, value, _ctx, _params) => {
    return parse2(schema, value, _ctx, finalizeParams(fn, _params));
  }, "fn");
  return fn;
}, "_decode");
var _encodeAsync = /* @__PURE__ */ __name((_Err) => {
  const parseAsync2 = _parseAsync(_Err);
  const fn = /* @__PURE__ */ __name(async (schema, value, _ctx, _params) => {
    const ctx = _ctx ? { ..._ctx, direction: "backward" } : { direction: "backward" };
    return await parseAsync2(schema, value, ctx, finalizeParams(fn, _params));
  }, "fn");
  return fn;
}, "_encodeAsync");
var _decodeAsync = /* @__PURE__ */ __name((_Err) => {
  const parseAsync2 = _parseAsync(_Err);
  const fn = /* @__PURE__ */ __name(async (schema, value, _ctx, _params) => {
    return await parseAsync2(schema, value, _ctx, finalizeParams(fn, _params));
  }, "fn");
  return fn;
}, "_decodeAsync");
var _safeEncode = /* @__PURE__ */ __name((_Err) => (schema, value, _ctx) => {
  const ctx = _ctx ? { ..._ctx, direction: "backward" } : { direction: "backward" };
  return _safeParse(_Err)(schema, value, ctx);
}, "_safeEncode");
var _safeDecode = /* @__PURE__ */ __name((_Err) => (schema, value, _ctx) => {
  return _safeParse(_Err)(schema, value, _ctx);
}, "_safeDecode");
var _safeEncodeAsync = /* @__PURE__ */ __name((_Err) => async (schema, value, _ctx) => {
  const ctx = _ctx ? { ..._ctx, direction: "backward" } : { direction: "backward" };
  return _safeParseAsync(_Err)(schema, value, ctx);
}, "_safeEncodeAsync");
var _safeDecodeAsync = /* @__PURE__ */ __name((_Err) => async (schema, value, _ctx) => {
  return _safeParseAsync(_Err)(schema, value, _ctx);
}, "_safeDecodeAsync");

// node_modules/zod/v4/core/regexes.js
var cuid = /^[cC][0-9a-z]{6,}$/;
var cuid2 = /^[0-9a-z]+$/;
var ulid = /^[0-7][0-9A-HJKMNP-TV-Za-hjkmnp-tv-z]{25}$/;
var xid = /^[0-9a-vA-V]{20}$/;
var ksuid = /^[A-Za-z0-9]{27}$/;
var nanoid = /^[a-zA-Z0-9_-]{21}$/;
function nanoidOfLength(length) {
  return new RegExp(`^[a-zA-Z0-9_-]{${length}}$`);
}
__name(nanoidOfLength, "nanoidOfLength");
var duration = /^P(?:(\d+W)|(?!.*W)(?=\d|T\d)(\d+Y)?(\d+M)?(\d+D)?(T(?=\d)(\d+H)?(\d+M)?(\d+([.,]\d+)?S)?)?)$/;
var guid = /^([0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12})$/;
var uuid = /* @__PURE__ */ __name((version2) => {
  if (!version2)
    return /^([0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[1-8][0-9a-fA-F]{3}-[89abAB][0-9a-fA-F]{3}-[0-9a-fA-F]{12}|00000000-0000-0000-0000-000000000000|ffffffff-ffff-ffff-ffff-ffffffffffff)$/;
  return new RegExp(`^([0-9a-fA-F]{8}-[0-9a-fA-F]{4}-${version2}[0-9a-fA-F]{3}-[89abAB][0-9a-fA-F]{3}-[0-9a-fA-F]{12})$`);
}, "uuid");
var email = /^(?:[A-Za-z0-9_'+\-]+\.)*[A-Za-z0-9_'+\-]*[A-Za-z0-9_+-]@(?:[A-Za-z0-9][A-Za-z0-9\-]*\.)+[A-Za-z]{2,}$/;
var _emoji = `^(?=[\\s\\S]*[\\p{Extended_Pictographic}\\p{Regional_Indicator}\\u20E3])[\\p{Extended_Pictographic}\\p{Emoji_Component}]+$`;
function emoji() {
  return new RegExp(_emoji, "u");
}
__name(emoji, "emoji");
var ipv4 = /^(?:(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9][0-9]|[0-9])\.){3}(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9][0-9]|[0-9])$/;
var ipv6 = /^(([0-9a-fA-F]{1,4}:){7}[0-9a-fA-F]{1,4}|([0-9a-fA-F]{1,4}:){1,7}:|([0-9a-fA-F]{1,4}:){1,6}:[0-9a-fA-F]{1,4}|([0-9a-fA-F]{1,4}:){1,5}(:[0-9a-fA-F]{1,4}){1,2}|([0-9a-fA-F]{1,4}:){1,4}(:[0-9a-fA-F]{1,4}){1,3}|([0-9a-fA-F]{1,4}:){1,3}(:[0-9a-fA-F]{1,4}){1,4}|([0-9a-fA-F]{1,4}:){1,2}(:[0-9a-fA-F]{1,4}){1,5}|[0-9a-fA-F]{1,4}:((:[0-9a-fA-F]{1,4}){1,6})|:((:[0-9a-fA-F]{1,4}){1,7}|:))$/;
var cidrv4 = /^((25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9][0-9]|[0-9])\.){3}(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9][0-9]|[0-9])\/([0-9]|[1-2][0-9]|3[0-2])$/;
var cidrv6 = /^(([0-9a-fA-F]{1,4}:){7}[0-9a-fA-F]{1,4}|([0-9a-fA-F]{1,4}:){1,7}:|([0-9a-fA-F]{1,4}:){1,6}:[0-9a-fA-F]{1,4}|([0-9a-fA-F]{1,4}:){1,5}(:[0-9a-fA-F]{1,4}){1,2}|([0-9a-fA-F]{1,4}:){1,4}(:[0-9a-fA-F]{1,4}){1,3}|([0-9a-fA-F]{1,4}:){1,3}(:[0-9a-fA-F]{1,4}){1,4}|([0-9a-fA-F]{1,4}:){1,2}(:[0-9a-fA-F]{1,4}){1,5}|[0-9a-fA-F]{1,4}:((:[0-9a-fA-F]{1,4}){1,6})|:((:[0-9a-fA-F]{1,4}){1,7}|:))\/(12[0-8]|1[01][0-9]|[1-9]?[0-9])$/;
var base64 = /^$|^(?:[0-9a-zA-Z+/]{4})*(?:(?:[0-9a-zA-Z+/]{2}==)|(?:[0-9a-zA-Z+/]{3}=))?$/;
var base64url = /^(?:[A-Za-z0-9_-]{4})*(?:[A-Za-z0-9_-]{2,3})?$/;
var httpProtocol = /^https?$/;
var e164 = /^\+[1-9]\d{6,14}$/;
var dateSource = `(?:(?:\\d\\d[2468][048]|\\d\\d[13579][26]|\\d\\d0[48]|[02468][048]00|[13579][26]00)-02-29|\\d{4}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12]\\d|3[01])|(?:0[469]|11)-(?:0[1-9]|[12]\\d|30)|(?:02)-(?:0[1-9]|1\\d|2[0-8])))`;
function anchor(source) {
  return new RegExp(`^${source}$`);
}
__name(anchor, "anchor");
var date = /* @__PURE__ */ anchor(dateSource);
function timeSource(args) {
  const hhmm = `(?:[01]\\d|2[0-3]):[0-5]\\d`;
  const regex = typeof args.precision === "number" ? args.precision === -1 ? `${hhmm}` : args.precision === 0 ? `${hhmm}:[0-5]\\d` : `${hhmm}:[0-5]\\d\\.\\d{${args.precision}}` : args.seconds ? `${hhmm}:[0-5]\\d(?:\\.\\d+)?` : `${hhmm}(?::[0-5]\\d(?:\\.\\d+)?)?`;
  return regex;
}
__name(timeSource, "timeSource");
function time(args) {
  return new RegExp(`^${timeSource(args)}$`);
}
__name(time, "time");
function datetime(args) {
  const opts = ["Z"];
  if (args.offset)
    opts.push(`([+-](?:[01]\\d|2[0-3]):[0-5]\\d)`);
  const qualified = `${timeSource({ precision: args.precision, seconds: true })}(?:${opts.join("|")})`;
  const timeRegex = args.local ? `${qualified}|${timeSource({ precision: args.precision })}` : qualified;
  return new RegExp(`^${dateSource}T(?:${timeRegex})$`);
}
__name(datetime, "datetime");
var anyString = /^[\s\S]{0,}$/;
var number = /^-?\d+(?:\.\d+)?$/;
var lowercase = /^[^A-Z]*$/;
var uppercase = /^[^a-z]*$/;

// node_modules/zod/v4/core/checks.js
var $ZodCheck = /* @__PURE__ */ $constructor("$ZodCheck", (inst, def) => {
  var _a3;
  inst._zod ?? (inst._zod = {});
  inst._zod.def = def;
  (_a3 = inst._zod).onattach ?? (_a3.onattach = []);
});
var _whenHasLength = /* @__PURE__ */ __name((payload) => {
  const val = payload.value;
  return !nullish(val) && val.length !== void 0;
}, "_whenHasLength");
var numericOriginMap = {
  number: "number",
  bigint: "bigint",
  object: "date"
};
var $ZodCheckLessThan = /* @__PURE__ */ $constructor("$ZodCheckLessThan", (inst, def) => {
  $ZodCheck.init(inst, def);
  const origin = numericOriginMap[typeof def.value];
  inst._zod.check = (payload) => {
    if (def.inclusive ? payload.value <= def.value : payload.value < def.value) {
      return;
    }
    payload.issues.push({
      origin: numericOriginMap[typeof payload.value] ?? origin,
      code: "too_big",
      maximum: typeof def.value === "object" ? def.value.getTime() : def.value,
      input: payload.value,
      inclusive: def.inclusive,
      inst,
      continue: !def.abort
    });
  };
});
var $ZodCheckGreaterThan = /* @__PURE__ */ $constructor("$ZodCheckGreaterThan", (inst, def) => {
  $ZodCheck.init(inst, def);
  const origin = numericOriginMap[typeof def.value];
  inst._zod.check = (payload) => {
    if (def.inclusive ? payload.value >= def.value : payload.value > def.value) {
      return;
    }
    payload.issues.push({
      origin: numericOriginMap[typeof payload.value] ?? origin,
      code: "too_small",
      minimum: typeof def.value === "object" ? def.value.getTime() : def.value,
      input: payload.value,
      inclusive: def.inclusive,
      inst,
      continue: !def.abort
    });
  };
});
var $ZodCheckMultipleOf = /* @__PURE__ */ $constructor("$ZodCheckMultipleOf", (inst, def) => {
  $ZodCheck.init(inst, def);
  inst._zod.check = (payload) => {
    if (typeof payload.value !== typeof def.value)
      throw new Error("Cannot mix number and bigint in multiple_of check.");
    const isMultiple = typeof payload.value === "bigint" ? (
      // `value % 0n` throws, and nothing is a multiple of zero — the number branch already fails this way via NaN
      def.value !== BigInt(0) && payload.value % def.value === BigInt(0)
    ) : floatSafeRemainder(payload.value, def.value) === 0;
    if (isMultiple)
      return;
    payload.issues.push({
      origin: typeof payload.value,
      code: "not_multiple_of",
      divisor: def.value,
      input: payload.value,
      inst,
      continue: !def.abort
    });
  };
});
var $ZodCheckNumberFormat = /* @__PURE__ */ $constructor("$ZodCheckNumberFormat", (inst, def) => {
  $ZodCheck.init(inst, def);
  def.format = def.format || "float64";
  const isInt = def.format?.includes("int");
  const origin = isInt ? "int" : "number";
  const [minimum, maximum] = NUMBER_FORMAT_RANGES[def.format];
  inst._zod.check = (payload) => {
    const input = payload.value;
    if (isInt) {
      if (!Number.isInteger(input)) {
        payload.issues.push({
          expected: origin,
          format: def.format,
          code: "invalid_type",
          continue: false,
          input,
          inst
        });
        return;
      }
      if (!Number.isSafeInteger(input)) {
        if (input > 0) {
          payload.issues.push({
            input,
            code: "too_big",
            maximum: Number.MAX_SAFE_INTEGER,
            note: "Integers must be within the safe integer range.",
            inst,
            origin,
            inclusive: true,
            continue: !def.abort
          });
        } else {
          payload.issues.push({
            input,
            code: "too_small",
            minimum: Number.MIN_SAFE_INTEGER,
            note: "Integers must be within the safe integer range.",
            inst,
            origin,
            inclusive: true,
            continue: !def.abort
          });
        }
        return;
      }
    }
    if (input < minimum) {
      payload.issues.push({
        origin: "number",
        input,
        code: "too_small",
        minimum,
        inclusive: true,
        inst,
        continue: !def.abort
      });
    }
    if (input > maximum) {
      payload.issues.push({
        origin: "number",
        input,
        code: "too_big",
        maximum,
        inclusive: true,
        inst,
        continue: !def.abort
      });
    }
  };
});
var $ZodCheckMaxLength = /* @__PURE__ */ $constructor("$ZodCheckMaxLength", (inst, def) => {
  var _a3;
  $ZodCheck.init(inst, def);
  (_a3 = inst._zod.def).when ?? (_a3.when = _whenHasLength);
  inst._zod.check = (payload) => {
    const input = payload.value;
    const units = input.length;
    const length = typeof input === "string" && units > def.maximum ? codePointLength(input) : units;
    if (length <= def.maximum)
      return;
    const origin = getLengthableOrigin(input);
    payload.issues.push({
      origin,
      code: "too_big",
      maximum: def.maximum,
      inclusive: true,
      input,
      inst,
      continue: !def.abort
    });
  };
});
var $ZodCheckMinLength = /* @__PURE__ */ $constructor("$ZodCheckMinLength", (inst, def) => {
  var _a3;
  $ZodCheck.init(inst, def);
  (_a3 = inst._zod.def).when ?? (_a3.when = _whenHasLength);
  inst._zod.check = (payload) => {
    const input = payload.value;
    const units = input.length;
    const length = typeof input === "string" && units >= def.minimum && units < def.minimum * 2 ? codePointLength(input) : units;
    if (length >= def.minimum)
      return;
    const origin = getLengthableOrigin(input);
    payload.issues.push({
      origin,
      code: "too_small",
      minimum: def.minimum,
      inclusive: true,
      input,
      inst,
      continue: !def.abort
    });
  };
});
var $ZodCheckLengthEquals = /* @__PURE__ */ $constructor("$ZodCheckLengthEquals", (inst, def) => {
  var _a3;
  $ZodCheck.init(inst, def);
  (_a3 = inst._zod.def).when ?? (_a3.when = _whenHasLength);
  inst._zod.check = (payload) => {
    const input = payload.value;
    const units = input.length;
    const length = typeof input === "string" && units >= def.length && units <= def.length * 2 ? codePointLength(input) : units;
    if (length === def.length)
      return;
    const origin = getLengthableOrigin(input);
    const tooBig = length > def.length;
    payload.issues.push({
      origin,
      ...tooBig ? { code: "too_big", maximum: def.length } : { code: "too_small", minimum: def.length },
      inclusive: true,
      exact: true,
      input: payload.value,
      inst,
      continue: !def.abort
    });
  };
});
var $ZodCheckStringFormat = /* @__PURE__ */ $constructor("$ZodCheckStringFormat", (inst, def) => {
  var _a3, _b;
  $ZodCheck.init(inst, def);
  if (def.pattern)
    (_a3 = inst._zod).check ?? (_a3.check = (payload) => {
      def.pattern.lastIndex = 0;
      if (def.pattern.test(payload.value))
        return;
      payload.issues.push({
        origin: "string",
        code: "invalid_format",
        format: def.format,
        input: payload.value,
        ...def.pattern ? { pattern: def.pattern.toString() } : {},
        inst,
        continue: !def.abort
      });
    });
  else
    (_b = inst._zod).check ?? (_b.check = () => {
    });
});
var $ZodCheckRegex = /* @__PURE__ */ $constructor("$ZodCheckRegex", (inst, def) => {
  $ZodCheckStringFormat.init(inst, def);
  inst._zod.check = (payload) => {
    def.pattern.lastIndex = 0;
    if (def.pattern.test(payload.value))
      return;
    payload.issues.push({
      origin: "string",
      code: "invalid_format",
      format: "regex",
      input: payload.value,
      pattern: def.pattern.toString(),
      inst,
      continue: !def.abort
    });
  };
});
var $ZodCheckLowerCase = /* @__PURE__ */ $constructor("$ZodCheckLowerCase", (inst, def) => {
  def.pattern ?? (def.pattern = lowercase);
  $ZodCheckStringFormat.init(inst, def);
});
var $ZodCheckUpperCase = /* @__PURE__ */ $constructor("$ZodCheckUpperCase", (inst, def) => {
  def.pattern ?? (def.pattern = uppercase);
  $ZodCheckStringFormat.init(inst, def);
});
var $ZodCheckIncludes = /* @__PURE__ */ $constructor("$ZodCheckIncludes", (inst, def) => {
  $ZodCheck.init(inst, def);
  const escapedRegex = escapeRegex(def.includes);
  const pattern = new RegExp(typeof def.position === "number" ? `^.{${def.position},}${escapedRegex}` : escapedRegex);
  def.pattern = pattern;
  inst._zod.check = (payload) => {
    if (payload.value.includes(def.includes, def.position))
      return;
    payload.issues.push({
      origin: "string",
      code: "invalid_format",
      format: "includes",
      includes: def.includes,
      input: payload.value,
      inst,
      continue: !def.abort
    });
  };
});
var $ZodCheckStartsWith = /* @__PURE__ */ $constructor("$ZodCheckStartsWith", (inst, def) => {
  $ZodCheck.init(inst, def);
  const pattern = new RegExp(`^${escapeRegex(def.prefix)}.*`);
  def.pattern ?? (def.pattern = pattern);
  inst._zod.check = (payload) => {
    if (payload.value.startsWith(def.prefix))
      return;
    payload.issues.push({
      origin: "string",
      code: "invalid_format",
      format: "starts_with",
      prefix: def.prefix,
      input: payload.value,
      inst,
      continue: !def.abort
    });
  };
});
var $ZodCheckEndsWith = /* @__PURE__ */ $constructor("$ZodCheckEndsWith", (inst, def) => {
  $ZodCheck.init(inst, def);
  const pattern = new RegExp(`.*${escapeRegex(def.suffix)}$`);
  def.pattern ?? (def.pattern = pattern);
  inst._zod.check = (payload) => {
    if (payload.value.endsWith(def.suffix))
      return;
    payload.issues.push({
      origin: "string",
      code: "invalid_format",
      format: "ends_with",
      suffix: def.suffix,
      input: payload.value,
      inst,
      continue: !def.abort
    });
  };
});
var $ZodCheckOverwrite = /* @__PURE__ */ $constructor("$ZodCheckOverwrite", (inst, def) => {
  $ZodCheck.init(inst, def);
  inst._zod.check = (payload) => {
    payload.value = def.tx(payload.value);
  };
});

// node_modules/zod/v4/core/doc.js
var Doc = class {
  static {
    __name(this, "Doc");
  }
  constructor(args = [], closed = {}) {
    this.content = [];
    this.indent = 0;
    this.args = args;
    this.closed = closed;
  }
  // the compiler catches a child's throw and keeps writing into this doc, so the indent has to unwind with it
  indented(fn) {
    this.indent += 1;
    try {
      fn(this);
    } finally {
      this.indent -= 1;
    }
  }
  write(arg) {
    if (typeof arg === "function") {
      arg(this, { execution: "sync" });
      arg(this, { execution: "async" });
      return;
    }
    const content = arg;
    const lines = content.split("\n").filter((x) => x);
    const minIndent = Math.min(...lines.map((x) => x.length - x.trimStart().length));
    const dedented = lines.map((x) => x.slice(minIndent)).map((x) => " ".repeat(this.indent * 2) + x);
    for (const line of dedented) {
      this.content.push(line);
    }
  }
  compile() {
    const F = Function;
    const content = this?.content ?? [``];
    const factory = new F(...Object.keys(this.closed), `return function (${this.args.join(", ")}) {
${content.join("\n")}
};`);
    return factory(...Object.values(this.closed));
  }
};

// node_modules/zod/v4/core/versions.js
var version = {
  major: 4,
  minor: 6,
  patch: 7
};

// node_modules/zod/v4/core/schemas.js
var $ZodType = /* @__PURE__ */ $constructor("$ZodType", (inst, def) => {
  var _a3;
  inst ?? (inst = {});
  inst._zod.def = def;
  inst._zod.bag = inst._zod.bag || {};
  inst._zod.version = version;
  const defChecks = inst._zod.def.checks;
  const checks = inst._zod.traits.has("$ZodCheck") ? [inst, ...defChecks ?? []] : defChecks?.length ? [...defChecks] : [];
  for (const ch of checks) {
    for (const fn of ch._zod.onattach) {
      fn(inst);
    }
  }
  if (checks.length === 0) {
    (_a3 = inst._zod).deferred ?? (_a3.deferred = []);
    inst._zod.deferred?.push(() => {
      inst._zod.run = inst._zod.parse;
    });
  } else {
    const runChecks = /* @__PURE__ */ __name((payload, checks2, ctx) => {
      if (payload.memo)
        return payload;
      let isAborted = aborted(payload);
      let asyncResult;
      for (const ch of checks2) {
        if (ch._zod.def.when) {
          if (explicitlyAborted(payload))
            continue;
          const shouldRun = ch._zod.def.when(payload);
          if (!shouldRun)
            continue;
        } else if (isAborted) {
          continue;
        }
        const currLen = payload.issues.length;
        const _ = ch._zod.check(payload);
        if (_ instanceof Promise && ctx?.async === false) {
          throw new $ZodAsyncError();
        }
        if (asyncResult || _ instanceof Promise) {
          asyncResult = (asyncResult ?? Promise.resolve()).then(async () => {
            await _;
            const nextLen = payload.issues.length;
            if (nextLen === currLen)
              return;
            attachSchema(payload.issues, currLen, inst);
            if (!isAborted)
              isAborted = aborted(payload, currLen);
          });
        } else {
          const nextLen = payload.issues.length;
          if (nextLen === currLen)
            continue;
          attachSchema(payload.issues, currLen, inst);
          if (!isAborted)
            isAborted = aborted(payload, currLen);
        }
      }
      if (asyncResult) {
        return asyncResult.then(() => {
          return payload;
        });
      }
      return payload;
    }, "runChecks");
    const handleCanaryResult = /* @__PURE__ */ __name((canary, payload, ctx) => {
      if (aborted(canary)) {
        canary.aborted = true;
        return canary;
      }
      const checkResult = runChecks(payload, checks, ctx);
      if (checkResult instanceof Promise) {
        if (ctx.async === false)
          throw new $ZodAsyncError();
        return checkResult.then((checkResult2) => inst._zod.parse(checkResult2, ctx));
      }
      return inst._zod.parse(checkResult, ctx);
    }, "handleCanaryResult");
    inst._zod.run = (payload, ctx) => {
      if (ctx.skipChecks) {
        return inst._zod.parse(payload, ctx);
      }
      if (ctx.direction === "backward") {
        const canary = inst._zod.parse({ value: payload.value, issues: [] }, { ...ctx, skipChecks: true });
        if (canary instanceof Promise) {
          return canary.then((canary2) => {
            return handleCanaryResult(canary2, payload, ctx);
          });
        }
        return handleCanaryResult(canary, payload, ctx);
      }
      const result = inst._zod.parse(payload, ctx);
      if (result instanceof Promise) {
        if (ctx.async === false)
          throw new $ZodAsyncError();
        return result.then((result2) => runChecks(result2, checks, ctx));
      }
      return runChecks(result, checks, ctx);
    };
  }
}, {
  // Wrappers extend this by installing a richer factory over it; reading it eagerly would defeat the laziness.
  get "~standard"() {
    return hide(this, "~standard", standardProps(this));
  },
  set "~standard"(value) {
    own(this, "~standard", value);
  }
});
var toStandardResult = /* @__PURE__ */ __name((r, ctx) => r.issues.length ? { issues: r.issues.map((iss) => finalizeIssue(iss, ctx, config())) } : { value: r.value }, "toStandardResult");
async function validateAsync2(inst, value) {
  const ctx = { async: true };
  return toStandardResult(await inst._zod.run({ value, issues: [] }, ctx), ctx);
}
__name(validateAsync2, "validateAsync");
function standardProps(inst) {
  return {
    validate: /* @__PURE__ */ __name((value) => {
      const ctx = { async: false };
      try {
        const r = inst._zod.run({ value, issues: [] }, ctx);
        if (!(r instanceof Promise))
          return toStandardResult(r, ctx);
      } catch (_) {
      }
      return validateAsync2(inst, value);
    }, "validate"),
    vendor: "zod",
    version: 1
  };
}
__name(standardProps, "standardProps");
var $ZodString = /* @__PURE__ */ $constructor("$ZodString", (inst, def) => {
  $ZodType.init(inst, def);
  inst._zod.pattern = def.pattern ?? anyString;
  inst._zod.parse = (payload, _) => {
    if (def.coerce)
      try {
        payload.value = String(payload.value);
      } catch (_2) {
      }
    if (typeof payload.value === "string")
      return payload;
    payload.issues.push({
      expected: "string",
      code: "invalid_type",
      input: payload.value,
      inst
    });
    return payload;
  };
});
var $ZodStringFormat = /* @__PURE__ */ $constructor("$ZodStringFormat", (inst, def) => {
  $ZodCheckStringFormat.init(inst, def);
  $ZodString.init(inst, def);
});
var $ZodGUID = /* @__PURE__ */ $constructor("$ZodGUID", (inst, def) => {
  def.pattern ?? (def.pattern = guid);
  $ZodStringFormat.init(inst, def);
});
var $ZodUUID = /* @__PURE__ */ $constructor("$ZodUUID", (inst, def) => {
  if (def.version) {
    const versionMap = {
      v1: 1,
      v2: 2,
      v3: 3,
      v4: 4,
      v5: 5,
      v6: 6,
      v7: 7,
      v8: 8
    };
    const v = versionMap[def.version];
    if (v === void 0)
      throw new Error(`Invalid UUID version: "${def.version}"`);
    def.pattern ?? (def.pattern = uuid(v));
  } else
    def.pattern ?? (def.pattern = uuid());
  $ZodStringFormat.init(inst, def);
});
var $ZodEmail = /* @__PURE__ */ $constructor("$ZodEmail", (inst, def) => {
  def.pattern ?? (def.pattern = email);
  $ZodStringFormat.init(inst, def);
});
var URL_BAD_FORMAT = 1;
var URL_UNPARSEABLE = 2;
function canParseURL(input) {
  try {
    if (typeof URL !== "undefined" && typeof URL.canParse === "function")
      return URL.canParse(input);
    new URL(input);
    return true;
  } catch {
    return false;
  }
}
__name(canParseURL, "canParseURL");
function validateURL(trimmed, def) {
  if (!("normalize" in def) && !("hostname" in def) && !("protocol" in def)) {
    return canParseURL(trimmed) || URL_UNPARSEABLE;
  }
  return parseURLObject(trimmed, def);
}
__name(validateURL, "validateURL");
function parseURLObject(trimmed, def) {
  if (!def.normalize && def.protocol?.source === httpProtocol.source && !/^https?:\/\//i.test(trimmed)) {
    return URL_BAD_FORMAT;
  }
  try {
    if (typeof URL !== "undefined") {
      const URLStatic = URL;
      if (typeof URLStatic.parse === "function")
        return URLStatic.parse(trimmed) ?? URL_UNPARSEABLE;
    }
    return new URL(trimmed);
  } catch {
    return URL_UNPARSEABLE;
  }
}
__name(parseURLObject, "parseURLObject");
var asciiTabOrNewline = /[\t\n\r]/g;
function stripTabAndNewline(value) {
  return value.replace(asciiTabOrNewline, "");
}
__name(stripTabAndNewline, "stripTabAndNewline");
function urlHostnameOk(url2, hostname) {
  hostname.lastIndex = 0;
  return hostname.test(url2.hostname);
}
__name(urlHostnameOk, "urlHostnameOk");
function urlProtocolOk(url2, protocol) {
  protocol.lastIndex = 0;
  return protocol.test(url2.protocol.endsWith(":") ? url2.protocol.slice(0, -1) : url2.protocol);
}
__name(urlProtocolOk, "urlProtocolOk");
var $ZodURL = /* @__PURE__ */ $constructor("$ZodURL", (inst, def) => {
  $ZodStringFormat.init(inst, def);
  inst._zod.check = (payload) => {
    try {
      const trimmed = payload.value.trim();
      const url2 = validateURL(trimmed, def);
      if (url2 === URL_BAD_FORMAT) {
        payload.issues.push({
          code: "invalid_format",
          format: "url",
          note: "Invalid URL format",
          input: payload.value,
          inst,
          continue: !def.abort
        });
        return;
      }
      if (url2 === URL_UNPARSEABLE) {
        payload.issues.push({
          code: "invalid_format",
          format: "url",
          input: payload.value,
          inst,
          continue: !def.abort
        });
        return;
      }
      if (url2 === true) {
        payload.value = stripTabAndNewline(trimmed);
        return;
      }
      if (def.hostname && !urlHostnameOk(url2, def.hostname)) {
        payload.issues.push({
          code: "invalid_format",
          format: "url",
          note: "Invalid hostname",
          pattern: def.hostname.source,
          input: payload.value,
          inst,
          continue: !def.abort
        });
      }
      if (def.protocol && !urlProtocolOk(url2, def.protocol)) {
        payload.issues.push({
          code: "invalid_format",
          format: "url",
          note: "Invalid protocol",
          pattern: def.protocol.source,
          input: payload.value,
          inst,
          continue: !def.abort
        });
      }
      payload.value = def.normalize ? url2.href : stripTabAndNewline(trimmed);
      return;
    } catch (_) {
      payload.issues.push({
        code: "invalid_format",
        format: "url",
        input: payload.value,
        inst,
        continue: !def.abort
      });
    }
  };
});
var $ZodEmoji = /* @__PURE__ */ $constructor("$ZodEmoji", (inst, def) => {
  def.pattern ?? (def.pattern = emoji());
  $ZodStringFormat.init(inst, def);
});
var $ZodNanoID = /* @__PURE__ */ $constructor("$ZodNanoID", (inst, def) => {
  if (def.length !== void 0 && (!Number.isInteger(def.length) || def.length < 1))
    throw new Error(`Invalid nanoid length: ${def.length}`);
  def.pattern ?? (def.pattern = def.length === void 0 ? nanoid : nanoidOfLength(def.length));
  $ZodStringFormat.init(inst, def);
});
var $ZodCUID = /* @__PURE__ */ $constructor("$ZodCUID", (inst, def) => {
  def.pattern ?? (def.pattern = cuid);
  $ZodStringFormat.init(inst, def);
});
var $ZodCUID2 = /* @__PURE__ */ $constructor("$ZodCUID2", (inst, def) => {
  def.pattern ?? (def.pattern = cuid2);
  $ZodStringFormat.init(inst, def);
});
var $ZodULID = /* @__PURE__ */ $constructor("$ZodULID", (inst, def) => {
  def.pattern ?? (def.pattern = ulid);
  $ZodStringFormat.init(inst, def);
});
var $ZodXID = /* @__PURE__ */ $constructor("$ZodXID", (inst, def) => {
  def.pattern ?? (def.pattern = xid);
  $ZodStringFormat.init(inst, def);
});
var $ZodKSUID = /* @__PURE__ */ $constructor("$ZodKSUID", (inst, def) => {
  def.pattern ?? (def.pattern = ksuid);
  $ZodStringFormat.init(inst, def);
});
var $ZodISODateTime = /* @__PURE__ */ $constructor("$ZodISODateTime", (inst, def) => {
  def.pattern ?? (def.pattern = datetime(def));
  $ZodStringFormat.init(inst, def);
});
var $ZodISODate = /* @__PURE__ */ $constructor("$ZodISODate", (inst, def) => {
  def.pattern ?? (def.pattern = date);
  $ZodStringFormat.init(inst, def);
});
var $ZodISOTime = /* @__PURE__ */ $constructor("$ZodISOTime", (inst, def) => {
  def.pattern ?? (def.pattern = time(def));
  $ZodStringFormat.init(inst, def);
});
var $ZodISODuration = /* @__PURE__ */ $constructor("$ZodISODuration", (inst, def) => {
  def.pattern ?? (def.pattern = duration);
  $ZodStringFormat.init(inst, def);
});
var $ZodIPv4 = /* @__PURE__ */ $constructor("$ZodIPv4", (inst, def) => {
  def.pattern ?? (def.pattern = ipv4);
  $ZodStringFormat.init(inst, def);
});
var ipv6Alphabet = /^[0-9a-fA-F:.]+$/;
function isValidIPv6(value) {
  if (!ipv6Alphabet.test(value))
    return false;
  return canParseURL(`http://[${value}]`);
}
__name(isValidIPv6, "isValidIPv6");
var $ZodIPv6 = /* @__PURE__ */ $constructor("$ZodIPv6", (inst, def) => {
  def.pattern ?? (def.pattern = ipv6);
  $ZodStringFormat.init(inst, def);
  inst._zod.check = (payload) => {
    if (!isValidIPv6(payload.value)) {
      payload.issues.push({
        code: "invalid_format",
        format: "ipv6",
        input: payload.value,
        inst,
        continue: !def.abort
      });
    }
  };
});
var $ZodCIDRv4 = /* @__PURE__ */ $constructor("$ZodCIDRv4", (inst, def) => {
  def.pattern ?? (def.pattern = cidrv4);
  $ZodStringFormat.init(inst, def);
});
function isValidCIDRv6(value) {
  const parts = value.split("/");
  if (parts.length !== 2)
    return false;
  const [address, prefix] = parts;
  if (!prefix)
    return false;
  const prefixNum = Number(prefix);
  if (`${prefixNum}` !== prefix)
    return false;
  if (prefixNum < 0 || prefixNum > 128)
    return false;
  return isValidIPv6(address);
}
__name(isValidCIDRv6, "isValidCIDRv6");
var $ZodCIDRv6 = /* @__PURE__ */ $constructor("$ZodCIDRv6", (inst, def) => {
  def.pattern ?? (def.pattern = cidrv6);
  $ZodStringFormat.init(inst, def);
  inst._zod.check = (payload) => {
    if (!isValidCIDRv6(payload.value)) {
      payload.issues.push({
        code: "invalid_format",
        format: "cidrv6",
        input: payload.value,
        inst,
        continue: !def.abort
      });
    }
  };
});
function isValidBase64(data) {
  if (data === "")
    return true;
  if (/\s/.test(data))
    return false;
  if (data.length % 4 !== 0)
    return false;
  try {
    atob(data);
    return true;
  } catch {
    return false;
  }
}
__name(isValidBase64, "isValidBase64");
var base64Charset = /^[0-9a-zA-Z+/]*={0,2}$/;
var $ZodBase64 = /* @__PURE__ */ $constructor("$ZodBase64", (inst, def) => {
  def.pattern ?? (def.pattern = base64Charset);
  $ZodStringFormat.init(inst, def);
  inst._zod.check = (payload) => {
    if (isValidBase64(payload.value))
      return;
    payload.issues.push({
      code: "invalid_format",
      format: "base64",
      input: payload.value,
      inst,
      continue: !def.abort
    });
  };
});
var base64urlCharset = /^[A-Za-z0-9_-]*$/;
function isValidBase64URL(data) {
  if (!base64urlCharset.test(data))
    return false;
  const base642 = data.replace(/[-_]/g, (c) => c === "-" ? "+" : "/");
  const padded = base642.padEnd(Math.ceil(base642.length / 4) * 4, "=");
  return isValidBase64(padded);
}
__name(isValidBase64URL, "isValidBase64URL");
var $ZodBase64URL = /* @__PURE__ */ $constructor("$ZodBase64URL", (inst, def) => {
  def.pattern ?? (def.pattern = base64urlCharset);
  $ZodStringFormat.init(inst, def);
  inst._zod.check = (payload) => {
    if (isValidBase64URL(payload.value))
      return;
    payload.issues.push({
      code: "invalid_format",
      format: "base64url",
      input: payload.value,
      inst,
      continue: !def.abort
    });
  };
});
var $ZodE164 = /* @__PURE__ */ $constructor("$ZodE164", (inst, def) => {
  def.pattern ?? (def.pattern = e164);
  $ZodStringFormat.init(inst, def);
});
function isValidJWT(token2, algorithm2 = null) {
  try {
    const tokensParts = token2.split(".");
    if (tokensParts.length !== 3)
      return false;
    const [header2] = tokensParts;
    if (!header2)
      return false;
    const parsedHeader = JSON.parse(atob(header2));
    if ("typ" in parsedHeader && parsedHeader?.typ !== "JWT")
      return false;
    if (!parsedHeader.alg)
      return false;
    if (algorithm2 && (!("alg" in parsedHeader) || parsedHeader.alg !== algorithm2))
      return false;
    return true;
  } catch {
    return false;
  }
}
__name(isValidJWT, "isValidJWT");
var $ZodJWT = /* @__PURE__ */ $constructor("$ZodJWT", (inst, def) => {
  $ZodStringFormat.init(inst, def);
  inst._zod.check = (payload) => {
    if (isValidJWT(payload.value, def.alg))
      return;
    payload.issues.push({
      code: "invalid_format",
      format: "jwt",
      input: payload.value,
      inst,
      continue: !def.abort
    });
  };
});
var $ZodNumber = /* @__PURE__ */ $constructor("$ZodNumber", (inst, def) => {
  $ZodType.init(inst, def);
  inst._zod.pattern = number;
  inst._zod.parse = (payload, _ctx) => {
    if (def.coerce)
      try {
        payload.value = Number(payload.value);
      } catch (_) {
      }
    const input = payload.value;
    if (typeof input === "number" && !Number.isNaN(input) && Number.isFinite(input)) {
      return payload;
    }
    const received = typeof input === "number" ? Number.isNaN(input) ? "NaN" : !Number.isFinite(input) ? String(input) : void 0 : void 0;
    payload.issues.push({
      expected: "number",
      code: "invalid_type",
      input,
      inst,
      ...received ? { received } : {}
    });
    return payload;
  };
});
var $ZodNumberFormat = /* @__PURE__ */ $constructor("$ZodNumberFormat", (inst, def) => {
  $ZodCheckNumberFormat.init(inst, def);
  $ZodNumber.init(inst, def);
});
var $ZodUnknown = /* @__PURE__ */ $constructor("$ZodUnknown", (inst, def) => {
  $ZodType.init(inst, def);
  inst._zod.parse = (payload) => payload;
});
var $ZodNever = /* @__PURE__ */ $constructor("$ZodNever", (inst, def) => {
  $ZodType.init(inst, def);
  inst._zod.parse = (payload, _ctx) => {
    payload.issues.push({
      expected: "never",
      code: "invalid_type",
      input: payload.value,
      inst
    });
    return payload;
  };
});
function capSize(inst, size) {
  const caps = sizeCaps(inst._zod.def.checks);
  if (!caps.length)
    return;
  const cap = Math.min(...caps.map((c) => c[0]));
  const parse2 = inst._zod.parse;
  inst._zod.parse = (payload, ctx) => {
    const n = size(payload.value);
    if (n > cap && !ctx?.skipChecks && ctx?.direction !== "backward") {
      for (const [max, ch] of sizeCaps(inst._zod.def.checks)) {
        if (n > max && ch._zod.def.when(payload)) {
          const start2 = payload.issues.length;
          ch._zod.check(payload);
          payload.issues[start2].continue = false;
          attachSchema(payload.issues, start2, inst);
          return payload;
        }
      }
    }
    return parse2(payload, ctx);
  };
}
__name(capSize, "capSize");
var arraySize = /* @__PURE__ */ __name((input) => Array.isArray(input) ? input.length : -1, "arraySize");
function handleArrayResult(result, final, index) {
  if (result.issues.length) {
    final.issues.push(...prefixIssues(index, result.issues));
  }
  final.value[index] = result.value;
}
__name(handleArrayResult, "handleArrayResult");
var $ZodArray = /* @__PURE__ */ $constructor("$ZodArray", (inst, def) => {
  $ZodType.init(inst, def);
  const memo2 = globalConfig.memoizer;
  memo2?.attach(inst);
  inst._zod.parse = (payload, ctx) => {
    const input = payload.value;
    if (!Array.isArray(input)) {
      payload.issues.push({
        expected: "array",
        code: "invalid_type",
        input,
        inst
      });
      return payload;
    }
    payload.value = memo2 ? memo2.alloc(inst, payload, Array(input.length), ctx) : Array(input.length);
    const proms = [];
    const abortEarly = ctx?.abortEarly;
    for (let i = 0; i < input.length; i++) {
      const item = input[i];
      const result = def.element._zod.run({
        value: item,
        issues: []
      }, ctx);
      if (result instanceof Promise) {
        proms.push(result.then((result2) => handleArrayResult(result2, payload, i)));
      } else {
        handleArrayResult(result, payload, i);
        if (abortEarly && result.issues.length !== 0 && aborted(result))
          break;
      }
    }
    if (proms.length) {
      return Promise.all(proms).then(() => payload);
    }
    return payload;
  };
  capSize(inst, arraySize);
});
function handlePropertyResult(result, final, key, input, optin, optout) {
  const isPresent = key in input;
  const isOptionalOut = optout === "optional";
  if (!isPresent && isOptionalOut && optin === "optional") {
    return;
  }
  if (result.issues.length) {
    if (optin !== void 0 && isOptionalOut && !isPresent) {
      return;
    }
    final.issues.push(...prefixIssues(key, result.issues));
  }
  if (!isPresent && optin === void 0) {
    if (!result.issues.length) {
      final.issues.push({
        code: "invalid_type",
        expected: "nonoptional",
        input: void 0,
        path: [key]
      });
    }
    return;
  }
  if (result.value === void 0) {
    if (isPresent || optin === "defaulted" && !isOptionalOut) {
      final.value[key] = void 0;
    }
  } else {
    final.value[key] = result.value;
  }
}
__name(handlePropertyResult, "handlePropertyResult");
var NO_SYMBOL_KEYS = [];
function normalizeDef(def) {
  const keys = Object.keys(def.shape);
  const ownSymbols = Object.getOwnPropertySymbols(def.shape);
  const symbolKeys = ownSymbols.length ? ownSymbols : NO_SYMBOL_KEYS;
  const allKeys = symbolKeys.length ? [...keys, ...symbolKeys] : keys;
  for (const k of allKeys) {
    if (!def.shape?.[k]?._zod?.traits?.has("$ZodType")) {
      throw new Error(`Invalid element at key "${String(k)}": expected a Zod schema`);
    }
  }
  const okeys = optionalKeys(def.shape);
  return {
    ...def,
    allKeys,
    symbolKeys,
    // string-only: handleCatchall matches it against `for...in`, which never yields a symbol
    keySet: new Set(keys),
    numKeys: keys.length,
    optionalKeys: new Set(okeys)
  };
}
__name(normalizeDef, "normalizeDef");
function handleCatchall(proms, input, payload, ctx, def, inst, abortEarly) {
  const unrecognized = [];
  const keySet = def.keySet;
  const _catchall = def.catchall._zod;
  const t = _catchall.def.type;
  const optin = _catchall.optin;
  const optout = _catchall.optout;
  let seen = 0;
  for (const key in input) {
    if (abortEarly && payload.issues.length !== seen) {
      if (aborted(payload, seen))
        break;
      seen = payload.issues.length;
    }
    if (keySet.has(key))
      continue;
    if (key === "__proto__") {
      if (t === "never")
        unrecognized.push(key);
      continue;
    }
    if (t === "never") {
      unrecognized.push(key);
      continue;
    }
    const r = _catchall.run({ value: input[key], issues: [] }, ctx);
    if (r instanceof Promise) {
      proms.push(r.then((r2) => handlePropertyResult(r2, payload, key, input, optin, optout)));
    } else {
      handlePropertyResult(r, payload, key, input, optin, optout);
    }
  }
  if (unrecognized.length) {
    payload.issues.push({
      code: "unrecognized_keys",
      keys: unrecognized,
      input,
      inst,
      // Describes the shape of the input, not the validity of the parsed value, so it never aborts. The parse still fails; the schema's own checks just get to run first, and an enclosing intersection can reconcile the key against a sibling operand.
      continue: true
    });
  }
  if (!proms.length)
    return payload;
  return Promise.all(proms).then(() => {
    return payload;
  });
}
__name(handleCatchall, "handleCatchall");
var $ZodObject = /* @__PURE__ */ $constructor("$ZodObject", (inst, def) => {
  $ZodType.init(inst, def);
  const desc = Object.getOwnPropertyDescriptor(def, "shape");
  const sh = desc?.get ? desc.get.raw : def.shape ?? {};
  if (sh) {
    const get = /* @__PURE__ */ __name(() => {
      const newSh = { ...sh };
      Object.defineProperty(def, "shape", { value: newSh });
      get.raw = newSh;
      return newSh;
    }, "get");
    get.raw = sh;
    Object.defineProperty(def, "shape", { get });
  }
  const _normalized = cached(() => normalizeDef(def));
  defineLazyInternal(inst, "propValues", (zod) => {
    const shape = zod.def.shape;
    const propValues = {};
    for (const key in shape) {
      const field = shape[key]._zod;
      if (field.values) {
        if (!Object.prototype.hasOwnProperty.call(propValues, key)) {
          assignProp(propValues, key, /* @__PURE__ */ new Set());
        }
        for (const v of field.values)
          propValues[key].add(v);
        if (field.optin !== void 0)
          propValues[key].add(void 0);
      }
    }
    return propValues;
  });
  const isObject2 = isObject;
  const catchall = def.catchall;
  let value;
  const memo2 = globalConfig.memoizer;
  memo2?.attach(inst);
  inst._zod.parse = (payload, ctx) => {
    value ?? (value = _normalized.value);
    const input = payload.value;
    if (!isObject2(input)) {
      payload.issues.push({
        expected: "object",
        code: "invalid_type",
        input,
        inst
      });
      return payload;
    }
    payload.value = memo2 ? memo2.alloc(inst, payload, {}, ctx) : {};
    const proms = [];
    const shape = value.shape;
    const abortEarly = ctx?.abortEarly;
    let seen = payload.issues.length;
    for (const key of value.allKeys) {
      if (abortEarly && payload.issues.length !== seen) {
        if (aborted(payload, seen))
          break;
        seen = payload.issues.length;
      }
      if (key === "__proto__")
        continue;
      const el = shape[key];
      const optin = el._zod.optin;
      const optout = el._zod.optout;
      const r = el._zod.run({ value: input[key], issues: [] }, ctx);
      if (r instanceof Promise) {
        proms.push(r.then((r2) => handlePropertyResult(r2, payload, key, input, optin, optout)));
      } else {
        handlePropertyResult(r, payload, key, input, optin, optout);
      }
    }
    if (!catchall) {
      return proms.length ? Promise.all(proms).then(() => payload) : payload;
    }
    return handleCatchall(proms, input, payload, ctx, _normalized.value, inst, abortEarly === true);
  };
});
var $ZodObjectJIT = /* @__PURE__ */ $constructor("$ZodObjectJIT", (inst, def) => {
  $ZodObject.init(inst, def);
  const superParse = inst._zod.parse;
  const _normalized = cached(() => normalizeDef(def));
  const memo2 = globalConfig.memoizer;
  const generateFastpass = /* @__PURE__ */ __name((shape) => {
    const normalized = _normalized.value;
    const syms = normalized.symbolKeys;
    const doc = new Doc(["payload", "ctx"], { shape, inst, memo: memo2, syms });
    const parseStr = /* @__PURE__ */ __name((k) => `shape[${k}]._zod.run({ value: input[${k}], issues: [] }, ctx)`, "parseStr");
    const prefixStr = /* @__PURE__ */ __name((id, k) => `
          let ${id}_ab = false;
          for (let i = 0; i < ${id}.issues.length; i++) {
            const iss = ${id}.issues[i];
            iss.path = iss.path ? [${k}, ...iss.path] : [${k}];
            payload.issues.push(iss);
            if (iss.continue !== true) ${id}_ab = true;
          }
          if (${id}_ab && ctx && ctx.abortEarly) {
            payload.value = newResult;
            return payload;
          }`, "prefixStr");
    doc.write(`const input = payload.value;`);
    const ids = /* @__PURE__ */ Object.create(null);
    let counter = 0;
    for (const key of normalized.allKeys) {
      ids[key] = `key_${counter++}`;
    }
    doc.write(memo2 ? `const newResult = memo.alloc(inst, payload, {}, ctx);` : `const newResult = {};`);
    for (const key of normalized.allKeys) {
      if (key === "__proto__")
        continue;
      const id = ids[key];
      const k = typeof key === "symbol" ? `syms[${syms.indexOf(key)}]` : esc(key);
      const isPresent = `${k} in input`;
      const schema = shape[key];
      const optin = schema?._zod?.optin;
      const isOptionalIn = optin !== void 0;
      const isOptionalOut = schema?._zod?.optout === "optional";
      doc.write(`const ${id} = ${parseStr(k)};`);
      if (isOptionalIn && isOptionalOut) {
        const assign = optin === "optional" ? `${id}_present` : `${id}.value !== undefined || ${id}_present`;
        doc.write(`
        const ${id}_present = ${isPresent};
        if (!${id}.issues.length || ${id}_present) {
          if (${id}.issues.length) {${prefixStr(id, k)}
          }

          if (${assign}) {
            newResult[${k}] = ${id}.value;
          }
        }

      `);
      } else if (!isOptionalIn) {
        doc.write(`
        const ${id}_present = ${isPresent};
        if (${id}.issues.length) {${prefixStr(id, k)}
        }
        if (!${id}_present && !${id}.issues.length) {
          payload.issues.push({
            code: "invalid_type",
            expected: "nonoptional",
            input: undefined,
            path: [${k}]
          });
          if (ctx && ctx.abortEarly) {
            payload.value = newResult;
            return payload;
          }
        }

        if (${id}_present) {
          newResult[${k}] = ${id}.value;
        }

      `);
      } else {
        doc.write(`
        if (${id}.issues.length) {${prefixStr(id, k)}
        }
      `);
        if (optin === "defaulted") {
          doc.write(`newResult[${k}] = ${id}.value;`);
        } else {
          doc.write(`
        if (${id}.value !== undefined || ${isPresent}) {
          newResult[${k}] = ${id}.value;
        }
      `);
        }
      }
    }
    doc.write(`payload.value = newResult;`);
    doc.write(`return payload;`);
    return doc.compile();
  }, "generateFastpass");
  let fastpass;
  const isObject2 = isObject;
  const jit = !globalConfig.jitless;
  const allowsEval2 = allowsEval;
  const fastEnabled = jit && allowsEval2.value;
  const catchall = def.catchall;
  let value;
  inst._zod.parse = (payload, ctx) => {
    value ?? (value = _normalized.value);
    const input = payload.value;
    if (!isObject2(input)) {
      payload.issues.push({
        expected: "object",
        code: "invalid_type",
        input,
        inst
      });
      return payload;
    }
    if (jit && fastEnabled && ctx?.async === false && ctx.jitless !== true) {
      if (!fastpass)
        fastpass = generateFastpass(def.shape);
      payload = fastpass(payload, ctx);
      if (!catchall)
        return payload;
      return handleCatchall([], input, payload, ctx, value, inst, ctx?.abortEarly === true);
    }
    return superParse(payload, ctx);
  };
});
function handleUnionResults(results, final, inst, ctx) {
  for (const result of results) {
    if (result.issues.length === 0) {
      final.value = result.value;
      return final;
    }
  }
  const nonaborted = results.filter((r) => !aborted(r));
  if (nonaborted.length === 1) {
    final.value = nonaborted[0].value;
    return nonaborted[0];
  }
  final.issues.push({
    code: "invalid_union",
    input: final.value,
    inst,
    errors: results.map((result) => result.issues.map((iss) => finalizeIssue(iss, ctx, config())))
  });
  return final;
}
__name(handleUnionResults, "handleUnionResults");
var $ZodUnion = /* @__PURE__ */ $constructor("$ZodUnion", (inst, def) => {
  $ZodType.init(inst, def);
  defineLazyInternal(inst, "optin", (zod) => zod.def.options.some((o) => o._zod.optin === "defaulted") ? "defaulted" : zod.def.options.some((o) => o._zod.optin !== void 0) ? "optional" : void 0);
  defineLazyInternal(inst, "optout", (zod) => zod.def.options.some((o) => o._zod.optout === "optional") ? "optional" : void 0);
  defineLazyInternal(inst, "values", (zod) => {
    if (zod.def.options.every((o) => o._zod.values)) {
      return new Set(zod.def.options.flatMap((option) => Array.from(option._zod.values)));
    }
    return void 0;
  });
  defineLazyInternal(inst, "pattern", (zod) => {
    if (zod.def.options.every((o) => o._zod.pattern)) {
      const patterns = zod.def.options.map((o) => o._zod.pattern);
      return new RegExp(`^(${patterns.map((p) => cleanRegex(p.source)).join("|")})$`);
    }
    return void 0;
  });
  const first = def.options.length === 1 ? def.options[0]._zod.run : null;
  inst._zod.parse = (payload, ctx) => {
    if (first) {
      return first(payload, ctx);
    }
    let async = false;
    const results = [];
    for (const option of def.options) {
      const result = option._zod.run({
        value: payload.value,
        issues: []
      }, ctx);
      if (result instanceof Promise) {
        results.push(result);
        async = true;
      } else {
        if (result.issues.length === 0)
          return result;
        results.push(result);
      }
    }
    if (!async)
      return handleUnionResults(results, payload, inst, ctx);
    return Promise.all(results).then((results2) => {
      return handleUnionResults(results2, payload, inst, ctx);
    });
  };
});
var $ZodIntersection = /* @__PURE__ */ $constructor("$ZodIntersection", (inst, def) => {
  $ZodType.init(inst, def);
  inst._zod.parse = (payload, ctx) => {
    const input = payload.value;
    const left = def.left._zod.run({ value: input, issues: [] }, ctx);
    const right = def.right._zod.run({ value: input, issues: [] }, ctx);
    const async = left instanceof Promise || right instanceof Promise;
    if (async) {
      return Promise.all([left, right]).then(([left2, right2]) => {
        return handleIntersectionResults(payload, left2, right2);
      });
    }
    return handleIntersectionResults(payload, left, right);
  };
});
function mergeValues(a, b) {
  if (a === b) {
    return { valid: true, data: a };
  }
  if (a instanceof Date && b instanceof Date && +a === +b) {
    return { valid: true, data: a };
  }
  if (isPlainObject(a) && isPlainObject(b)) {
    const bKeys = Object.keys(b);
    const sharedKeys = Object.keys(a).filter((key) => bKeys.indexOf(key) !== -1);
    const newObj = { ...a, ...b };
    if (Object.prototype.hasOwnProperty.call(newObj, "__proto__"))
      delete newObj.__proto__;
    for (const key of sharedKeys) {
      if (key === "__proto__")
        continue;
      const sharedValue = mergeValues(a[key], b[key]);
      if (!sharedValue.valid) {
        return {
          valid: false,
          mergeErrorPath: [key, ...sharedValue.mergeErrorPath]
        };
      }
      newObj[key] = sharedValue.data;
    }
    return { valid: true, data: newObj };
  }
  if (Array.isArray(a) && Array.isArray(b)) {
    if (a.length !== b.length) {
      return { valid: false, mergeErrorPath: [] };
    }
    const newArray = [];
    for (let index = 0; index < a.length; index++) {
      const itemA = a[index];
      const itemB = b[index];
      const sharedValue = mergeValues(itemA, itemB);
      if (!sharedValue.valid) {
        return {
          valid: false,
          mergeErrorPath: [index, ...sharedValue.mergeErrorPath]
        };
      }
      newArray.push(sharedValue.data);
    }
    return { valid: true, data: newArray };
  }
  return { valid: false, mergeErrorPath: [] };
}
__name(mergeValues, "mergeValues");
function handleIntersectionResults(result, left, right) {
  const unrecKeys = /* @__PURE__ */ new Map();
  let unrecIssue;
  const keyIssues = /* @__PURE__ */ new Map();
  const collect = /* @__PURE__ */ __name((iss, side) => {
    let keys;
    if (iss.code === "unrecognized_keys" && !iss.path?.length) {
      unrecIssue ?? (unrecIssue = iss);
      keys = iss.keys;
    } else if (iss.code === "invalid_key" && iss.origin === "record" && iss.path?.length === 1) {
      const k = String(iss.path[0]);
      if (!keyIssues.has(k))
        keyIssues.set(k, iss);
      keys = [k];
    } else {
      return false;
    }
    for (const k of keys) {
      if (!unrecKeys.has(k))
        unrecKeys.set(k, {});
      unrecKeys.get(k)[side] = true;
    }
    return true;
  }, "collect");
  for (const iss of left.issues) {
    if (!collect(iss, "l"))
      result.issues.push(iss);
  }
  for (const iss of right.issues) {
    if (!collect(iss, "r"))
      result.issues.push(iss);
  }
  const bothKeys = [...unrecKeys].filter(([, f]) => f.l && f.r).map(([k]) => k);
  if (bothKeys.length) {
    const aggregated = unrecIssue ? bothKeys.filter((k) => unrecIssue.keys.includes(k)) : [];
    if (aggregated.length)
      result.issues.push({ ...unrecIssue, keys: aggregated });
    for (const k of bothKeys) {
      if (!aggregated.includes(k) && keyIssues.has(k))
        result.issues.push(keyIssues.get(k));
    }
  }
  const merged = mergeValues(left.value, right.value);
  if (!merged.valid) {
    if (aborted(result))
      return result;
    throw new Error(`Unmergable intersection. Error path: ${JSON.stringify(merged.mergeErrorPath)}`);
  }
  result.value = merged.data;
  return result;
}
__name(handleIntersectionResults, "handleIntersectionResults");
var $ZodEnum = /* @__PURE__ */ $constructor("$ZodEnum", (inst, def) => {
  $ZodType.init(inst, def);
  const values = getEnumValues(def.entries);
  const valuesSet = new Set(values);
  inst._zod.values = valuesSet;
  defineLazyInternal(inst, "pattern", (zod) => {
    const patternValues = getEnumValues(zod.def.entries).filter((k) => propertyKeyTypes.has(typeof k));
    return new RegExp(patternValues.length ? `^(${patternValues.map((o) => escapeRegex(o.toString())).join("|")})$` : "^[^\\s\\S]$");
  });
  inst._zod.parse = (payload, _ctx) => {
    const input = payload.value;
    if (valuesSet.has(input)) {
      return payload;
    }
    payload.issues.push({
      code: "invalid_value",
      values,
      input,
      inst
    });
    return payload;
  };
});
var $ZodLiteral = /* @__PURE__ */ $constructor("$ZodLiteral", (inst, def) => {
  $ZodType.init(inst, def);
  const values = new Set(def.values);
  inst._zod.values = values;
  defineLazyInternal(inst, "pattern", (zod) => {
    const vals = zod.def.values;
    return new RegExp(vals.length ? `^(${vals.map((o) => typeof o === "string" ? escapeRegex(o) : o ? escapeRegex(o.toString()) : String(o)).join("|")})$` : "^[^\\s\\S]$");
  });
  inst._zod.parse = (payload, _ctx) => {
    const input = payload.value;
    if (values.has(input)) {
      return payload;
    }
    payload.issues.push({
      code: "invalid_value",
      values: def.values,
      input,
      inst
    });
    return payload;
  };
});
var $ZodTransform = /* @__PURE__ */ $constructor("$ZodTransform", (inst, def) => {
  $ZodType.init(inst, def);
  inst._zod.optin = "optional";
  globalConfig.memoizer?.guard(inst);
  inst._zod.parse = (payload, ctx) => {
    if (ctx.direction === "backward") {
      throw new $ZodEncodeError(inst.constructor.name);
    }
    const _out = def.transform(payload.value, payload);
    if (ctx.async) {
      const output = _out instanceof Promise ? _out : Promise.resolve(_out);
      return output.then((output2) => {
        payload.value = output2;
        return payload;
      });
    }
    if (_out instanceof Promise) {
      throw new $ZodAsyncError();
    }
    payload.value = _out;
    return payload;
  };
});
function handleOptionalResult(payload, result) {
  payload.value = result.issues.length ? void 0 : result.value;
  return payload;
}
__name(handleOptionalResult, "handleOptionalResult");
var $ZodOptional = /* @__PURE__ */ $constructor("$ZodOptional", (inst, def) => {
  $ZodType.init(inst, def);
  defineLazyInternal(inst, "optin", (zod) => zod.def.innerType._zod.optin === "defaulted" ? "defaulted" : "optional");
  inst._zod.optout = "optional";
  defineLazyInternal(inst, "values", (zod) => {
    const values = zod.def.innerType._zod.values;
    return values ? /* @__PURE__ */ new Set([...values, void 0]) : void 0;
  });
  defineLazyInternal(inst, "pattern", (zod) => {
    const pattern = zod.def.innerType._zod.pattern;
    return pattern ? new RegExp(`^(${cleanRegex(pattern.source)})?$`) : void 0;
  });
  inst._zod.parse = (payload, ctx) => {
    if (payload.value === void 0) {
      if (def.innerType._zod.optin !== "defaulted")
        return payload;
      const result = def.innerType._zod.run({ value: payload.value, issues: [] }, ctx);
      if (result instanceof Promise)
        return result.then((result2) => handleOptionalResult(payload, result2));
      return handleOptionalResult(payload, result);
    }
    return def.innerType._zod.run(payload, ctx);
  };
});
var $ZodExactOptional = /* @__PURE__ */ $constructor("$ZodExactOptional", (inst, def) => {
  $ZodOptional.init(inst, def);
  defineLazyInternal(inst, "values", (zod) => zod.def.innerType._zod.values);
  defineLazyInternal(inst, "pattern", (zod) => zod.def.innerType._zod.pattern);
  inst._zod.parse = (payload, ctx) => {
    return def.innerType._zod.run(payload, ctx);
  };
});
var $ZodNullable = /* @__PURE__ */ $constructor("$ZodNullable", (inst, def) => {
  $ZodType.init(inst, def);
  defineLazyInternal(inst, "optin", (zod) => zod.def.innerType._zod.optin);
  defineLazyInternal(inst, "optout", (zod) => zod.def.innerType._zod.optout);
  defineLazyInternal(inst, "pattern", (zod) => {
    const pattern = zod.def.innerType._zod.pattern;
    return pattern ? new RegExp(`^(${cleanRegex(pattern.source)}|null)$`) : void 0;
  });
  defineLazyInternal(inst, "values", (zod) => {
    return zod.def.innerType._zod.values ? /* @__PURE__ */ new Set([...zod.def.innerType._zod.values, null]) : void 0;
  });
  inst._zod.parse = (payload, ctx) => {
    if (payload.value === null)
      return payload;
    return def.innerType._zod.run(payload, ctx);
  };
});
var $ZodDefault = /* @__PURE__ */ $constructor("$ZodDefault", (inst, def) => {
  $ZodType.init(inst, def);
  inst._zod.optin = "defaulted";
  defineLazyInternal(inst, "values", (zod) => zod.def.innerType._zod.values);
  inst._zod.parse = (payload, ctx) => {
    if (ctx.direction === "backward") {
      return def.innerType._zod.run(payload, ctx);
    }
    if (payload.value === void 0) {
      payload.value = def.defaultValue;
      return payload;
    }
    const result = def.innerType._zod.run(payload, ctx);
    if (result instanceof Promise) {
      return result.then((result2) => handleDefaultResult(result2, def));
    }
    return handleDefaultResult(result, def);
  };
});
function handleDefaultResult(payload, def) {
  if (payload.value === void 0) {
    payload.value = def.defaultValue;
  }
  return payload;
}
__name(handleDefaultResult, "handleDefaultResult");
var $ZodPrefault = /* @__PURE__ */ $constructor("$ZodPrefault", (inst, def) => {
  $ZodType.init(inst, def);
  inst._zod.optin = "defaulted";
  defineLazyInternal(inst, "values", (zod) => zod.def.innerType._zod.values);
  inst._zod.parse = (payload, ctx) => {
    if (ctx.direction === "backward") {
      return def.innerType._zod.run(payload, ctx);
    }
    if (payload.value === void 0) {
      payload.value = def.defaultValue;
    }
    return def.innerType._zod.run(payload, ctx);
  };
});
var $ZodNonOptional = /* @__PURE__ */ $constructor("$ZodNonOptional", (inst, def) => {
  $ZodType.init(inst, def);
  defineLazyInternal(inst, "values", (zod) => {
    const v = zod.def.innerType._zod.values;
    return v ? new Set([...v].filter((x) => x !== void 0)) : void 0;
  });
  inst._zod.parse = (payload, ctx) => {
    const result = def.innerType._zod.run(payload, ctx);
    if (result instanceof Promise) {
      return result.then((result2) => handleNonOptionalResult(result2, inst));
    }
    return handleNonOptionalResult(result, inst);
  };
});
function handleNonOptionalResult(payload, inst) {
  if (!payload.issues.length && payload.value === void 0) {
    payload.issues.push({
      code: "invalid_type",
      expected: "nonoptional",
      input: payload.value,
      inst
    });
  }
  return payload;
}
__name(handleNonOptionalResult, "handleNonOptionalResult");
function handleCatchResult(payload, result, def, ctx) {
  if (!result.issues.length) {
    payload.value = result.value;
    if (result.memo)
      payload.memo = true;
    return payload;
  }
  payload.value = def.catchValue({
    ...result,
    value: payload.value,
    error: {
      issues: result.issues.map((iss) => finalizeIssue(iss, ctx, config()))
    },
    input: payload.value
  });
  return payload;
}
__name(handleCatchResult, "handleCatchResult");
var $ZodCatch = /* @__PURE__ */ $constructor("$ZodCatch", (inst, def) => {
  $ZodType.init(inst, def);
  defineLazyInternal(inst, "optin", (zod) => zod.def.innerType._zod.optin === "defaulted" ? "defaulted" : "optional");
  defineLazyInternal(inst, "optout", (zod) => zod.def.innerType._zod.optout);
  defineLazyInternal(inst, "values", (zod) => zod.def.innerType._zod.values);
  inst._zod.parse = (payload, ctx) => {
    if (ctx.direction === "backward") {
      return def.innerType._zod.run(payload, ctx);
    }
    const result = def.innerType._zod.run({ value: payload.value, issues: [] }, ctx);
    if (result instanceof Promise) {
      return result.then((result2) => handleCatchResult(payload, result2, def, ctx));
    }
    return handleCatchResult(payload, result, def, ctx);
  };
});
var $ZodPipe = /* @__PURE__ */ $constructor("$ZodPipe", (inst, def) => {
  $ZodType.init(inst, def);
  defineLazyInternal(inst, "values", (zod) => zod.def.in._zod.values);
  defineLazyInternal(inst, "optin", (zod) => zod.def.in._zod.optin);
  defineLazyInternal(inst, "optout", (zod) => zod.def.out._zod.optout);
  defineLazyInternal(inst, "propValues", (zod) => zod.def.in._zod.propValues);
  inst._zod.parse = (payload, ctx) => {
    if (ctx.direction === "backward") {
      const right = def.out._zod.run(payload, ctx);
      if (right instanceof Promise) {
        return right.then((right2) => handlePipeResult(right2, def.in, ctx));
      }
      return handlePipeResult(right, def.in, ctx);
    }
    const left = def.in._zod.run(payload, ctx);
    if (left instanceof Promise) {
      return left.then((left2) => handlePipeResult(left2, def.out, ctx));
    }
    return handlePipeResult(left, def.out, ctx);
  };
});
function handlePipeResult(left, next, ctx) {
  if (left.issues.some((iss) => iss.code !== "unrecognized_keys")) {
    left.aborted = true;
    return left;
  }
  return next._zod.run({ value: left.value, issues: left.issues }, ctx);
}
__name(handlePipeResult, "handlePipeResult");
var $ZodReadonly = /* @__PURE__ */ $constructor("$ZodReadonly", (inst, def) => {
  $ZodType.init(inst, def);
  defineLazyInternal(inst, "propValues", (zod) => zod.def.innerType._zod.propValues);
  defineLazyInternal(inst, "values", (zod) => zod.def.innerType._zod.values);
  defineLazyInternal(inst, "optin", (zod) => zod.def.innerType?._zod?.optin);
  defineLazyInternal(inst, "optout", (zod) => zod.def.innerType?._zod?.optout);
  inst._zod.parse = (payload, ctx) => {
    if (ctx.direction === "backward") {
      return def.innerType._zod.run(payload, ctx);
    }
    const result = def.innerType._zod.run(payload, ctx);
    if (result instanceof Promise) {
      return result.then(handleReadonlyResult);
    }
    return handleReadonlyResult(result);
  };
});
function handleReadonlyResult(payload) {
  if (!payload.memo)
    payload.value = Object.freeze(payload.value);
  return payload;
}
__name(handleReadonlyResult, "handleReadonlyResult");
var $ZodCustom = /* @__PURE__ */ $constructor("$ZodCustom", (inst, def) => {
  $ZodCheck.init(inst, def);
  $ZodType.init(inst, def);
  inst._zod.parse = (payload, _) => {
    return payload;
  };
  inst._zod.check = (payload) => {
    const input = payload.value;
    const r = def.fn(input);
    if (r instanceof Promise) {
      return r.then((r2) => handleRefineResult(r2, payload, input, inst));
    }
    handleRefineResult(r, payload, input, inst);
    return;
  };
});
function handleRefineResult(result, payload, input, inst) {
  if (!result) {
    const _iss = {
      code: "custom",
      input,
      inst,
      // incorporates params.error into issue reporting
      path: [...inst._zod.def.path ?? []],
      // incorporates params.error into issue reporting
      continue: !inst._zod.def.abort
      // params: inst._zod.def.params,
    };
    if (inst._zod.def.params)
      _iss.params = inst._zod.def.params;
    payload.issues.push(issue(_iss));
  }
}
__name(handleRefineResult, "handleRefineResult");

// node_modules/zod/v4/core/memoizer.js
var $ZodCyclicError = class extends Error {
  static {
    __name(this, "$ZodCyclicError");
  }
  constructor() {
    super(`Cannot parse a reference cycle that closes through a transform`);
    this.name = "ZodCyclicError";
  }
};
var STATE = "~memo";
var NO_ISSUES = [];
function isRef(value) {
  return value !== null && typeof value === "object";
}
__name(isRef, "isRef");
function cloneIssues(issues) {
  return issues.map((iss) => iss.path ? { ...iss, path: iss.path.slice() } : { ...iss });
}
__name(cloneIssues, "cloneIssues");
var recursive = /* @__PURE__ */ new WeakMap();
var NONE = 0;
var ASSUMED = 1;
var PROVEN = 2;
function isRecursive(inst, stack, resolve) {
  const cached2 = recursive.get(inst);
  if (cached2 !== void 0)
    return cached2 ? PROVEN : NONE;
  if (stack.has(inst))
    return PROVEN;
  stack.add(inst);
  let result = NONE;
  const check = /* @__PURE__ */ __name((child) => {
    if (result !== PROVEN && child?._zod) {
      const answer = isRecursive(child, stack, resolve);
      if (answer > result)
        result = answer;
    }
  }, "check");
  const shape = /* @__PURE__ */ __name((sh, spread) => {
    let answer = NONE;
    for (const key of Reflect.ownKeys(sh)) {
      const desc = Object.getOwnPropertyDescriptor(sh, key);
      if (spread && !desc.enumerable)
        continue;
      const child = desc.get ? ASSUMED : desc.value?._zod ? isRecursive(desc.value, stack, resolve) : NONE;
      if (child > answer)
        answer = child;
    }
    return answer;
  }, "shape");
  const merge2 = /* @__PURE__ */ __name((answer) => {
    if (answer > result)
      result = answer;
  }, "merge");
  const def = inst._zod.def;
  const kind = def.type;
  switch (kind) {
    case "object": {
      const raw = rawShape(def);
      merge2(raw ? shape(raw, true) : ASSUMED);
      check(def.catchall);
      break;
    }
    case "array":
      check(def.element);
      break;
    case "tuple":
      for (const el of def.items)
        check(el);
      check(def.rest);
      break;
    case "record":
    case "map":
      check(def.keyType);
      check(def.valueType);
      break;
    case "set":
      check(def.valueType);
      break;
    case "union":
      for (const el of def.options)
        check(el);
      break;
    case "intersection":
      check(def.left);
      check(def.right);
      break;
    case "optional":
    case "nullable":
    case "default":
    case "prefault":
    case "catch":
    case "readonly":
    case "nonoptional":
    case "promise":
    case "success":
      check(def.innerType);
      break;
    case "pipe":
      check(def.in);
      check(def.out);
      break;
    case "function":
      check(def.input);
      check(def.output);
      break;
    // `$ZodLazy` caches its inner on the def, so a resolved edge is followed exactly
    case "lazy": {
      const inner = def._cachedInner ?? (resolve ? inst._zod.innerType : void 0);
      merge2(inner ? isRecursive(inner, stack, false) : ASSUMED);
      break;
    }
    // a leaf by choice: `parts` are regex fragments, not data positions
    case "template_literal":
    // leaves
    case "string":
    case "number":
    case "int":
    case "boolean":
    case "bigint":
    case "symbol":
    case "undefined":
    case "null":
    case "void":
    case "never":
    case "any":
    case "unknown":
    case "date":
    case "nan":
    case "enum":
    case "literal":
    case "file":
    case "transform":
    case "custom":
      break;
    default: {
      kind;
      for (const key in def) {
        const desc = Object.getOwnPropertyDescriptor(def, key);
        if (!desc || desc.get)
          continue;
        const value = desc.value;
        if (!value || typeof value !== "object")
          continue;
        if (value._zod)
          check(value);
        else if (Array.isArray(value))
          for (const el of value)
            check(el);
      }
    }
  }
  stack.delete(inst);
  return settle(inst, result);
}
__name(isRecursive, "isRecursive");
function settle(inst, answer) {
  if (answer !== ASSUMED)
    recursive.set(inst, answer === PROVEN);
  return answer;
}
__name(settle, "settle");
function bucketFor(state, inst) {
  let bucket = state.buckets.get(inst);
  if (!bucket) {
    bucket = /* @__PURE__ */ new WeakMap();
    state.buckets.set(inst, bucket);
  }
  return bucket;
}
__name(bucketFor, "bucketFor");
var handoff;
var open = [];
var memo = {
  alloc(_inst, payload, empty2) {
    const bucket = handoff;
    if (!bucket)
      return empty2;
    handoff = void 0;
    const entry = { value: empty2, issues: null };
    bucket.set(payload.value, entry);
    open.push(entry);
    return empty2;
  },
  guard(inst) {
    var _a3;
    (_a3 = inst._zod).deferred ?? (_a3.deferred = []);
    inst._zod.deferred.push(() => {
      const base = inst._zod.parse;
      const wrapped = /* @__PURE__ */ __name((payload, ctx) => {
        if (ctx.direction !== "backward" && isBackEdge(ctx, payload.value))
          throw new $ZodCyclicError();
        return base(payload, ctx);
      }, "wrapped");
      inst._zod.parse = wrapped;
      if (inst._zod.run === base)
        inst._zod.run = wrapped;
    });
  },
  attach(inst) {
    var _a3;
    let isRecursiveInst;
    let rechecked = false;
    let lastCtx;
    let lastBucket;
    (_a3 = inst._zod).deferred ?? (_a3.deferred = []);
    inst._zod.deferred.push(() => {
      const base = inst._zod.parse;
      const wrapped = /* @__PURE__ */ __name((payload, ctx) => {
        if (isRecursiveInst === void 0) {
          const walked = isRecursive(inst, /* @__PURE__ */ new Set(), false);
          if (walked === NONE) {
            inst._zod.parse = base;
            if (inst._zod.run === wrapped)
              inst._zod.run = base;
            return base(payload, ctx);
          }
          if (walked === PROVEN || rechecked)
            isRecursiveInst = true;
          else
            rechecked = true;
        }
        const input = payload.value;
        if (!isRef(input))
          return base(payload, ctx);
        let state = ctx[STATE];
        if (!state) {
          state = { buckets: /* @__PURE__ */ new WeakMap(), backEdges: void 0 };
          ctx[STATE] = state;
        }
        let bucket;
        if (lastCtx === ctx) {
          bucket = lastBucket;
        } else {
          bucket = bucketFor(state, inst);
          lastCtx = ctx;
          lastBucket = bucket;
        }
        const hit = bucket.get(input);
        if (hit) {
          payload.value = hit.value;
          if (hit.issues) {
            if (hit.issues.length)
              payload.issues.push(...cloneIssues(hit.issues));
          } else {
            payload.memo = true;
            state.backEdges ?? (state.backEdges = /* @__PURE__ */ new WeakSet());
            state.backEdges.add(hit.value);
          }
          return payload;
        }
        handoff = bucket;
        const depth = open.length;
        const result = base(payload, ctx);
        handoff = void 0;
        const entry = open.length > depth ? open.pop() : void 0;
        if (result instanceof Promise) {
          return result.then((r) => {
            if (entry)
              entry.issues = r.issues.length ? cloneIssues(r.issues) : NO_ISSUES;
            return r;
          });
        }
        if (entry)
          entry.issues = result.issues.length ? cloneIssues(result.issues) : NO_ISSUES;
        return result;
      }, "wrapped");
      inst._zod.parse = wrapped;
      if (inst._zod.run === base)
        inst._zod.run = wrapped;
    });
  }
};
function memoizer() {
  return memo;
}
__name(memoizer, "memoizer");
function isBackEdge(ctx, value) {
  const backEdges = ctx[STATE]?.backEdges;
  return backEdges !== void 0 && isRef(value) && backEdges.has(value);
}
__name(isBackEdge, "isBackEdge");

// node_modules/zod/v4/locales/en.js
var error = /* @__PURE__ */ __name(() => {
  const Sizable = {
    string: { unit: "characters", verb: "to have" },
    file: { unit: "bytes", verb: "to have" },
    array: { unit: "items", verb: "to have" },
    set: { unit: "items", verb: "to have" },
    map: { unit: "entries", verb: "to have" }
  };
  function getSizing(origin) {
    return Sizable[origin] ?? null;
  }
  __name(getSizing, "getSizing");
  const FormatDictionary = {
    regex: "input",
    email: "email address",
    url: "URL",
    emoji: "emoji",
    uuid: "UUID",
    uuidv4: "UUIDv4",
    uuidv6: "UUIDv6",
    nanoid: "nanoid",
    guid: "GUID",
    cuid: "cuid",
    cuid2: "cuid2",
    ulid: "ULID",
    xid: "XID",
    ksuid: "KSUID",
    datetime: "ISO datetime",
    date: "ISO date",
    time: "ISO time",
    duration: "ISO duration",
    ipv4: "IPv4 address",
    ipv6: "IPv6 address",
    mac: "MAC address",
    cidrv4: "IPv4 range",
    cidrv6: "IPv6 range",
    base64: "base64-encoded string",
    base64url: "base64url-encoded string",
    json_string: "JSON string",
    e164: "E.164 number",
    currency_code: "currency code",
    credit_card: "credit card number",
    iban: "IBAN",
    jwt: "JWT",
    template_literal: "input"
  };
  const TypeDictionary = {
    // Compatibility: "nan" -> "NaN" for display
    nan: "NaN"
    // All other type names omitted - they fall back to raw values via ?? operator
  };
  function getTypeName(type, input) {
    if (type === "number" && typeof input === "number" && !Number.isFinite(input)) {
      return String(input);
    }
    return TypeDictionary[type] ?? type;
  }
  __name(getTypeName, "getTypeName");
  return (issue2) => {
    switch (issue2.code) {
      case "invalid_type": {
        const expected = getTypeName(issue2.expected);
        const receivedType = parsedType(issue2.input);
        const received = getTypeName(receivedType, issue2.input);
        return `Invalid input: expected ${expected}, received ${received}`;
      }
      case "invalid_value":
        if (issue2.values.length === 1)
          return `Invalid input: expected ${stringifyPrimitive(issue2.values[0])}`;
        return `Invalid option: expected one of ${joinValues(issue2.values, "|")}`;
      case "too_big": {
        const adj = issue2.exact ? "exactly " : issue2.inclusive ? "<=" : "<";
        const sizing = getSizing(issue2.origin);
        if (sizing)
          return `Too big: expected ${issue2.origin ?? "value"} to have ${adj}${issue2.maximum.toString()} ${sizing.unit ?? "elements"}`;
        return `Too big: expected ${issue2.origin ?? "value"} to be ${adj}${issue2.maximum.toString()}`;
      }
      case "too_small": {
        const adj = issue2.exact ? "exactly " : issue2.inclusive ? ">=" : ">";
        const sizing = getSizing(issue2.origin);
        if (sizing) {
          return `Too small: expected ${issue2.origin} to have ${adj}${issue2.minimum.toString()} ${sizing.unit}`;
        }
        return `Too small: expected ${issue2.origin} to be ${adj}${issue2.minimum.toString()}`;
      }
      case "invalid_format": {
        const _issue = issue2;
        if (_issue.format === "starts_with") {
          return `Invalid string: must start with "${_issue.prefix}"`;
        }
        if (_issue.format === "ends_with")
          return `Invalid string: must end with "${_issue.suffix}"`;
        if (_issue.format === "includes")
          return `Invalid string: must include "${_issue.includes}"`;
        if (_issue.format === "regex")
          return `Invalid string: must match pattern ${_issue.pattern}`;
        return `Invalid ${FormatDictionary[_issue.format] ?? issue2.format}`;
      }
      case "not_multiple_of":
        return `Invalid number: must be a multiple of ${issue2.divisor}`;
      case "unrecognized_keys":
        return `Unrecognized key${issue2.keys.length > 1 ? "s" : ""}: ${joinValues(issue2.keys, ", ")}`;
      case "invalid_key":
        return `Invalid key in ${issue2.origin}`;
      case "invalid_union":
        if (issue2.options && Array.isArray(issue2.options) && issue2.options.length > 0) {
          const opts = issue2.options.map((o) => `'${o}'`).join(" | ");
          return `Invalid discriminator value. Expected ${opts}`;
        }
        if (issue2.inclusive === false) {
          return "Invalid input: more than one option matched";
        }
        return "Invalid input";
      case "invalid_element":
        return `Invalid value in ${issue2.origin}`;
      default:
        return `Invalid input`;
    }
  };
}, "error");
function en_default() {
  return {
    localeError: error()
  };
}
__name(en_default, "default");

// node_modules/zod/v4/core/registries.js
var _a2;
var $ZodRegistry = class {
  static {
    __name(this, "$ZodRegistry");
  }
  constructor() {
    this._map = /* @__PURE__ */ new WeakMap();
    this._idmap = /* @__PURE__ */ new Map();
  }
  add(schema, ..._meta) {
    const meta2 = _meta[0];
    this._map.set(schema, meta2);
    if (meta2 && typeof meta2 === "object" && "id" in meta2) {
      this._idmap.set(meta2.id, schema);
    }
    return this;
  }
  clear() {
    this._map = /* @__PURE__ */ new WeakMap();
    this._idmap = /* @__PURE__ */ new Map();
    return this;
  }
  remove(schema) {
    const meta2 = this._map.get(schema);
    if (meta2 && typeof meta2 === "object" && "id" in meta2) {
      this._idmap.delete(meta2.id);
    }
    this._map.delete(schema);
    return this;
  }
  get(schema) {
    const p = schema._zod.parent;
    if (p) {
      const pm = { ...this.get(p) ?? {} };
      delete pm.id;
      const f = { ...pm, ...this._map.get(schema) };
      return Object.keys(f).length ? f : void 0;
    }
    return this._map.get(schema);
  }
  has(schema) {
    return this._map.has(schema);
  }
};
function registry() {
  return new $ZodRegistry();
}
__name(registry, "registry");
(_a2 = globalThis).__zod_globalRegistry ?? (_a2.__zod_globalRegistry = registry());
var globalRegistry = globalThis.__zod_globalRegistry;

// node_modules/zod/v4/core/api.js
function snapshotChecks(def) {
  if (def.checks)
    def.checks = [...def.checks];
  return def;
}
__name(snapshotChecks, "snapshotChecks");
// @__NO_SIDE_EFFECTS__
function _string(Class2, params) {
  return new Class2(snapshotChecks({ type: "string", ...normalizeParams(params) }));
}
__name(_string, "_string");
// @__NO_SIDE_EFFECTS__
function _email(Class2, params) {
  return new Class2({
    type: "string",
    format: "email",
    check: "string_format",
    abort: false,
    ...normalizeParams(params)
  });
}
__name(_email, "_email");
// @__NO_SIDE_EFFECTS__
function _guid(Class2, params) {
  return new Class2({
    type: "string",
    format: "guid",
    check: "string_format",
    abort: false,
    ...normalizeParams(params)
  });
}
__name(_guid, "_guid");
// @__NO_SIDE_EFFECTS__
function _uuid(Class2, params) {
  return new Class2({
    type: "string",
    format: "uuid",
    check: "string_format",
    abort: false,
    ...normalizeParams(params)
  });
}
__name(_uuid, "_uuid");
// @__NO_SIDE_EFFECTS__
function _uuidv4(Class2, params) {
  return new Class2({
    type: "string",
    format: "uuid",
    check: "string_format",
    abort: false,
    version: "v4",
    ...normalizeParams(params)
  });
}
__name(_uuidv4, "_uuidv4");
// @__NO_SIDE_EFFECTS__
function _uuidv6(Class2, params) {
  return new Class2({
    type: "string",
    format: "uuid",
    check: "string_format",
    abort: false,
    version: "v6",
    ...normalizeParams(params)
  });
}
__name(_uuidv6, "_uuidv6");
// @__NO_SIDE_EFFECTS__
function _uuidv7(Class2, params) {
  return new Class2({
    type: "string",
    format: "uuid",
    check: "string_format",
    abort: false,
    version: "v7",
    ...normalizeParams(params)
  });
}
__name(_uuidv7, "_uuidv7");
// @__NO_SIDE_EFFECTS__
function _url(Class2, params) {
  return new Class2({
    type: "string",
    format: "url",
    check: "string_format",
    abort: false,
    ...normalizeParams(params)
  });
}
__name(_url, "_url");
// @__NO_SIDE_EFFECTS__
function _emoji2(Class2, params) {
  return new Class2({
    type: "string",
    format: "emoji",
    check: "string_format",
    abort: false,
    ...normalizeParams(params)
  });
}
__name(_emoji2, "_emoji");
// @__NO_SIDE_EFFECTS__
function _nanoid(Class2, params) {
  return new Class2({
    type: "string",
    format: "nanoid",
    check: "string_format",
    abort: false,
    ...normalizeParams(params)
  });
}
__name(_nanoid, "_nanoid");
// @__NO_SIDE_EFFECTS__
function _cuid(Class2, params) {
  return new Class2({
    type: "string",
    format: "cuid",
    check: "string_format",
    abort: false,
    ...normalizeParams(params)
  });
}
__name(_cuid, "_cuid");
// @__NO_SIDE_EFFECTS__
function _cuid2(Class2, params) {
  return new Class2({
    type: "string",
    format: "cuid2",
    check: "string_format",
    abort: false,
    ...normalizeParams(params)
  });
}
__name(_cuid2, "_cuid2");
// @__NO_SIDE_EFFECTS__
function _ulid(Class2, params) {
  return new Class2({
    type: "string",
    format: "ulid",
    check: "string_format",
    abort: false,
    ...normalizeParams(params)
  });
}
__name(_ulid, "_ulid");
// @__NO_SIDE_EFFECTS__
function _xid(Class2, params) {
  return new Class2({
    type: "string",
    format: "xid",
    check: "string_format",
    abort: false,
    ...normalizeParams(params)
  });
}
__name(_xid, "_xid");
// @__NO_SIDE_EFFECTS__
function _ksuid(Class2, params) {
  return new Class2({
    type: "string",
    format: "ksuid",
    check: "string_format",
    abort: false,
    ...normalizeParams(params)
  });
}
__name(_ksuid, "_ksuid");
// @__NO_SIDE_EFFECTS__
function _ipv4(Class2, params) {
  return new Class2({
    type: "string",
    format: "ipv4",
    check: "string_format",
    abort: false,
    ...normalizeParams(params)
  });
}
__name(_ipv4, "_ipv4");
// @__NO_SIDE_EFFECTS__
function _ipv6(Class2, params) {
  return new Class2({
    type: "string",
    format: "ipv6",
    check: "string_format",
    abort: false,
    ...normalizeParams(params)
  });
}
__name(_ipv6, "_ipv6");
// @__NO_SIDE_EFFECTS__
function _cidrv4(Class2, params) {
  return new Class2({
    type: "string",
    format: "cidrv4",
    check: "string_format",
    abort: false,
    ...normalizeParams(params)
  });
}
__name(_cidrv4, "_cidrv4");
// @__NO_SIDE_EFFECTS__
function _cidrv6(Class2, params) {
  return new Class2({
    type: "string",
    format: "cidrv6",
    check: "string_format",
    abort: false,
    ...normalizeParams(params)
  });
}
__name(_cidrv6, "_cidrv6");
// @__NO_SIDE_EFFECTS__
function _base64(Class2, params) {
  return new Class2({
    type: "string",
    format: "base64",
    check: "string_format",
    abort: false,
    ...normalizeParams(params)
  });
}
__name(_base64, "_base64");
// @__NO_SIDE_EFFECTS__
function _base64url(Class2, params) {
  return new Class2({
    type: "string",
    format: "base64url",
    check: "string_format",
    abort: false,
    ...normalizeParams(params)
  });
}
__name(_base64url, "_base64url");
// @__NO_SIDE_EFFECTS__
function _e164(Class2, params) {
  return new Class2({
    type: "string",
    format: "e164",
    check: "string_format",
    abort: false,
    ...normalizeParams(params)
  });
}
__name(_e164, "_e164");
// @__NO_SIDE_EFFECTS__
function _jwt(Class2, params) {
  return new Class2({
    type: "string",
    format: "jwt",
    check: "string_format",
    abort: false,
    ...normalizeParams(params)
  });
}
__name(_jwt, "_jwt");
// @__NO_SIDE_EFFECTS__
function _isoDateTime(Class2, params) {
  return new Class2({
    type: "string",
    format: "datetime",
    check: "string_format",
    offset: false,
    local: false,
    precision: null,
    ...normalizeParams(params)
  });
}
__name(_isoDateTime, "_isoDateTime");
// @__NO_SIDE_EFFECTS__
function _isoDate(Class2, params) {
  return new Class2({
    type: "string",
    format: "date",
    check: "string_format",
    ...normalizeParams(params)
  });
}
__name(_isoDate, "_isoDate");
// @__NO_SIDE_EFFECTS__
function _isoTime(Class2, params) {
  return new Class2({
    type: "string",
    format: "time",
    check: "string_format",
    precision: null,
    ...normalizeParams(params)
  });
}
__name(_isoTime, "_isoTime");
// @__NO_SIDE_EFFECTS__
function _isoDuration(Class2, params) {
  return new Class2({
    type: "string",
    format: "duration",
    check: "string_format",
    ...normalizeParams(params)
  });
}
__name(_isoDuration, "_isoDuration");
// @__NO_SIDE_EFFECTS__
function _number(Class2, params) {
  return new Class2(snapshotChecks({ type: "number", checks: [], ...normalizeParams(params) }));
}
__name(_number, "_number");
// @__NO_SIDE_EFFECTS__
function _int(Class2, params) {
  return new Class2({
    type: "number",
    check: "number_format",
    abort: false,
    format: "safeint",
    ...normalizeParams(params)
  });
}
__name(_int, "_int");
// @__NO_SIDE_EFFECTS__
function _unknown(Class2) {
  return new Class2({
    type: "unknown"
  });
}
__name(_unknown, "_unknown");
// @__NO_SIDE_EFFECTS__
function _never(Class2, params) {
  return new Class2({
    type: "never",
    ...normalizeParams(params)
  });
}
__name(_never, "_never");
// @__NO_SIDE_EFFECTS__
function _lt(value, params) {
  return new $ZodCheckLessThan({
    check: "less_than",
    ...normalizeParams(params),
    value,
    inclusive: false
  });
}
__name(_lt, "_lt");
// @__NO_SIDE_EFFECTS__
function _lte(value, params) {
  return new $ZodCheckLessThan({
    check: "less_than",
    ...normalizeParams(params),
    value,
    inclusive: true
  });
}
__name(_lte, "_lte");
// @__NO_SIDE_EFFECTS__
function _gt(value, params) {
  return new $ZodCheckGreaterThan({
    check: "greater_than",
    ...normalizeParams(params),
    value,
    inclusive: false
  });
}
__name(_gt, "_gt");
// @__NO_SIDE_EFFECTS__
function _gte(value, params) {
  return new $ZodCheckGreaterThan({
    check: "greater_than",
    ...normalizeParams(params),
    value,
    inclusive: true
  });
}
__name(_gte, "_gte");
// @__NO_SIDE_EFFECTS__
function _multipleOf(value, params) {
  return new $ZodCheckMultipleOf({
    check: "multiple_of",
    ...normalizeParams(params),
    value
  });
}
__name(_multipleOf, "_multipleOf");
// @__NO_SIDE_EFFECTS__
function _maxLength(maximum, params) {
  const ch = new $ZodCheckMaxLength({
    check: "max_length",
    ...normalizeParams(params),
    maximum
  });
  return ch;
}
__name(_maxLength, "_maxLength");
// @__NO_SIDE_EFFECTS__
function _minLength(minimum, params) {
  return new $ZodCheckMinLength({
    check: "min_length",
    ...normalizeParams(params),
    minimum
  });
}
__name(_minLength, "_minLength");
// @__NO_SIDE_EFFECTS__
function _length(length, params) {
  return new $ZodCheckLengthEquals({
    check: "length_equals",
    ...normalizeParams(params),
    length
  });
}
__name(_length, "_length");
// @__NO_SIDE_EFFECTS__
function _regex(pattern, params) {
  return new $ZodCheckRegex({
    check: "string_format",
    format: "regex",
    ...normalizeParams(params),
    pattern
  });
}
__name(_regex, "_regex");
// @__NO_SIDE_EFFECTS__
function _lowercase(params) {
  return new $ZodCheckLowerCase({
    check: "string_format",
    format: "lowercase",
    ...normalizeParams(params)
  });
}
__name(_lowercase, "_lowercase");
// @__NO_SIDE_EFFECTS__
function _uppercase(params) {
  return new $ZodCheckUpperCase({
    check: "string_format",
    format: "uppercase",
    ...normalizeParams(params)
  });
}
__name(_uppercase, "_uppercase");
// @__NO_SIDE_EFFECTS__
function _includes(includes, params) {
  return new $ZodCheckIncludes({
    check: "string_format",
    format: "includes",
    ...normalizeParams(params),
    includes
  });
}
__name(_includes, "_includes");
// @__NO_SIDE_EFFECTS__
function _startsWith(prefix, params) {
  return new $ZodCheckStartsWith({
    check: "string_format",
    format: "starts_with",
    ...normalizeParams(params),
    prefix
  });
}
__name(_startsWith, "_startsWith");
// @__NO_SIDE_EFFECTS__
function _endsWith(suffix, params) {
  return new $ZodCheckEndsWith({
    check: "string_format",
    format: "ends_with",
    ...normalizeParams(params),
    suffix
  });
}
__name(_endsWith, "_endsWith");
// @__NO_SIDE_EFFECTS__
function _overwrite(tx) {
  return new $ZodCheckOverwrite({
    check: "overwrite",
    tx
  });
}
__name(_overwrite, "_overwrite");
// @__NO_SIDE_EFFECTS__
function _normalize(form) {
  return /* @__PURE__ */ _overwrite((input) => input.normalize(form));
}
__name(_normalize, "_normalize");
// @__NO_SIDE_EFFECTS__
function _trim() {
  return /* @__PURE__ */ _overwrite((input) => input.trim());
}
__name(_trim, "_trim");
// @__NO_SIDE_EFFECTS__
function _toLowerCase() {
  return /* @__PURE__ */ _overwrite((input) => input.toLowerCase());
}
__name(_toLowerCase, "_toLowerCase");
// @__NO_SIDE_EFFECTS__
function _toUpperCase() {
  return /* @__PURE__ */ _overwrite((input) => input.toUpperCase());
}
__name(_toUpperCase, "_toUpperCase");
// @__NO_SIDE_EFFECTS__
function _slugify() {
  return /* @__PURE__ */ _overwrite((input) => slugify(input));
}
__name(_slugify, "_slugify");
// @__NO_SIDE_EFFECTS__
function _array(Class2, element, params) {
  return new Class2({
    type: "array",
    element,
    // get element() {
    //   return element;
    // },
    ...normalizeParams(params)
  });
}
__name(_array, "_array");
// @__NO_SIDE_EFFECTS__
function _refine(Class2, fn, _params) {
  const schema = new Class2({
    type: "custom",
    check: "custom",
    fn,
    ...normalizeParams(_params)
  });
  return schema;
}
__name(_refine, "_refine");
// @__NO_SIDE_EFFECTS__
function _superRefine(fn, params) {
  const ch = /* @__PURE__ */ _check((payload) => {
    payload.addIssue = (issue2) => {
      if (typeof issue2 === "string") {
        payload.issues.push(issue(issue2, payload.value, ch._zod.def));
      } else {
        const _issue = issue2;
        if (_issue.fatal)
          _issue.continue = false;
        _issue.code ?? (_issue.code = "custom");
        if (!("input" in _issue))
          _issue.input = payload.value;
        _issue.inst ?? (_issue.inst = ch);
        _issue.continue ?? (_issue.continue = !ch._zod.def.abort);
        payload.issues.push(issue(_issue));
      }
    };
    return fn(payload.value, payload);
  }, params);
  return ch;
}
__name(_superRefine, "_superRefine");
// @__NO_SIDE_EFFECTS__
function _check(fn, params) {
  const ch = new $ZodCheck({
    check: "custom",
    ...normalizeParams(params)
  });
  ch._zod.check = fn;
  return ch;
}
__name(_check, "_check");

// node_modules/zod/v4/core/to-json-schema.js
function assignProps(target, ...sources) {
  for (const source of sources) {
    for (const key of Reflect.ownKeys(source)) {
      if (Object.prototype.propertyIsEnumerable.call(source, key)) {
        assignProp(target, key, source[key]);
      }
    }
  }
  return target;
}
__name(assignProps, "assignProps");
function initializeContext(params) {
  let target = params?.target ?? "draft-2020-12";
  if (target === "draft-4")
    target = "draft-04";
  if (target === "draft-7")
    target = "draft-07";
  return {
    processors: params.processors ?? {},
    metadataRegistry: params?.metadata ?? globalRegistry,
    target,
    unrepresentable: params?.unrepresentable ?? "throw",
    override: params?.override ?? (() => {
    }),
    io: params?.io ?? "output",
    counter: 0,
    seen: /* @__PURE__ */ new Map(),
    sharedDefsExtractedFor: void 0,
    sharedEmitDoneFor: void 0,
    cycles: params?.cycles ?? "ref",
    reused: params?.reused ?? "inline",
    intersections: [],
    deferred: [],
    external: params?.external ?? void 0
  };
}
__name(initializeContext, "initializeContext");
function handleUnrepresentable(schema, ctx, json, params, message) {
  const result = typeof ctx.unrepresentable === "function" ? ctx.unrepresentable({ zodSchema: schema, path: params.path, message }) : ctx.unrepresentable;
  if (result === "any")
    return false;
  if (result === void 0 || result === "throw")
    throw new Error(message);
  Object.assign(json, result);
  return true;
}
__name(handleUnrepresentable, "handleUnrepresentable");
function processSchema(schema, ctx, _params = { path: [], schemaPath: [] }) {
  var _a3;
  const def = schema._zod.def;
  const seen = ctx.seen.get(schema);
  if (seen) {
    seen.count++;
    const isCycle = _params.schemaPath.includes(schema);
    if (isCycle) {
      seen.cycle = _params.path;
    }
    return seen.schema;
  }
  const result = { schema: {}, count: 1, cycle: void 0, path: _params.path };
  ctx.seen.set(schema, result);
  ctx.sharedDefsExtractedFor = void 0;
  ctx.sharedEmitDoneFor = void 0;
  const overrideSchema = schema._zod.toJSONSchema?.();
  if (overrideSchema) {
    result.schema = overrideSchema;
  } else {
    const params = {
      ..._params,
      schemaPath: [..._params.schemaPath, schema],
      path: _params.path
    };
    if (schema._zod.processJSONSchema) {
      schema._zod.processJSONSchema(ctx, result.schema, params);
    } else {
      const _json = result.schema;
      const processor = ctx.processors[def.type];
      if (!processor) {
        throw new Error(`[toJSONSchema]: Non-representable type encountered: ${def.type}`);
      }
      processor(schema, ctx, _json, params);
    }
    const parent = schema._zod.parent;
    if (parent) {
      if (!result.ref)
        result.ref = parent;
      processSchema(parent, ctx, params);
      ctx.seen.get(parent).isParent = true;
    }
  }
  const meta2 = ctx.metadataRegistry.get(schema);
  if (meta2)
    assignProps(result.schema, meta2);
  if (ctx.io === "input" && isTransforming(schema)) {
    delete result.schema.examples;
    delete result.schema.default;
  }
  if (ctx.io === "input" && "_prefault" in result.schema)
    (_a3 = result.schema).default ?? (_a3.default = result.schema._prefault);
  delete result.schema._prefault;
  const _result = ctx.seen.get(schema);
  return _result.schema;
}
__name(processSchema, "processSchema");
function encodeJSONPointerSegment(segment) {
  return segment.replace(/~/g, "~0").replace(/\//g, "~1");
}
__name(encodeJSONPointerSegment, "encodeJSONPointerSegment");
function extractDefs(ctx, schema) {
  const root = ctx.seen.get(schema);
  if (!root)
    throw new Error("Unprocessed schema. This is a bug in Zod.");
  if (ctx.external && ctx.sharedDefsExtractedFor === ctx.external)
    return;
  const idToSchema = /* @__PURE__ */ new Map();
  for (const entry of ctx.seen.entries()) {
    const id = ctx.metadataRegistry.get(entry[0])?.id;
    if (id) {
      const existing = idToSchema.get(id);
      if (existing && existing !== entry[0]) {
        throw new Error(`Duplicate schema id "${id}" detected during JSON Schema conversion. Two different schemas cannot share the same id when converted together.`);
      }
      idToSchema.set(id, entry[0]);
    }
  }
  const makeURI = /* @__PURE__ */ __name((entry) => {
    const defsSegment = ctx.target === "draft-2020-12" ? "$defs" : "definitions";
    if (ctx.external) {
      const externalId = ctx.external.registry.get(entry[0])?.id;
      const uriGenerator = ctx.external.uri ?? ((id2) => id2);
      if (externalId) {
        return { ref: uriGenerator(externalId) };
      }
      const id = entry[1].defId ?? entry[1].schema.id ?? `schema${ctx.counter++}`;
      entry[1].defId = id;
      return { defId: id, ref: `${uriGenerator("__shared")}#/${defsSegment}/${encodeJSONPointerSegment(id)}` };
    }
    const uriPrefix = `#`;
    const defUriPrefix = `${uriPrefix}/${defsSegment}/`;
    if (entry[1] === root && !entry[1].schema.id) {
      return { ref: uriPrefix };
    }
    const defId = entry[1].schema.id ?? `__schema${ctx.counter++}`;
    return { defId, ref: defUriPrefix + encodeJSONPointerSegment(defId) };
  }, "makeURI");
  const extractToDef = /* @__PURE__ */ __name((entry) => {
    if (entry[1].schema.$ref) {
      return;
    }
    const seen = entry[1];
    const { ref, defId } = makeURI(entry);
    seen.def = { ...seen.schema };
    if (defId)
      seen.defId = defId;
    const schema2 = seen.schema;
    for (const key in schema2) {
      delete schema2[key];
    }
    schema2.$ref = ref;
  }, "extractToDef");
  if (ctx.cycles === "throw") {
    for (const entry of ctx.seen.entries()) {
      const seen = entry[1];
      if (seen.cycle) {
        throw new Error(`Cycle detected: #/${seen.cycle?.join("/")}/<root>

Set the \`cycles\` parameter to \`"ref"\` to resolve cyclical schemas with defs.`);
      }
    }
  }
  for (const entry of ctx.seen.entries()) {
    const seen = entry[1];
    if (schema === entry[0]) {
      extractToDef(entry);
      continue;
    }
    if (ctx.external) {
      const ext = ctx.external.registry.get(entry[0])?.id;
      if (schema !== entry[0] && ext) {
        extractToDef(entry);
        continue;
      }
    }
    const id = ctx.metadataRegistry.get(entry[0])?.id;
    if (id) {
      extractToDef(entry);
      continue;
    }
    if (seen.cycle) {
      extractToDef(entry);
      continue;
    }
    if (seen.count > 1) {
      if (ctx.reused === "ref") {
        extractToDef(entry);
      }
    }
  }
  if (ctx.external)
    ctx.sharedDefsExtractedFor = ctx.external;
}
__name(extractDefs, "extractDefs");
function compactTypeUnion(schema) {
  const options = schema.anyOf;
  if (!Array.isArray(options) || options.length === 0 || schema.type !== void 0)
    return;
  const types = [];
  for (const option of options) {
    if (!option || typeof option !== "object")
      return;
    compactTypeUnion(option);
    const keys = Object.keys(option);
    if (keys.length !== 1 || keys[0] !== "type")
      return;
    const type = option.type;
    for (const member of Array.isArray(type) ? type : [type]) {
      if (typeof member !== "string")
        return;
      if (!types.includes(member))
        types.push(member);
    }
  }
  delete schema.anyOf;
  schema.type = types.length === 1 ? types[0] : types;
}
__name(compactTypeUnion, "compactTypeUnion");
var FOLDABLE_KEYS = /* @__PURE__ */ new Set(["type", "properties", "required", "additionalProperties"]);
var UNION_KEYS = ["oneOf", "anyOf"];
function undeclaredConstraint(member) {
  const extra = member.additionalProperties;
  if (extra === void 0 || extra === false || typeof extra !== "object" || extra === null)
    return null;
  return Object.keys(extra).length ? extra : null;
}
__name(undeclaredConstraint, "undeclaredConstraint");
function foldObjects(members2) {
  const objects = [];
  for (const member of members2) {
    if (typeof member !== "object" || member.type !== "object")
      return null;
    for (const key in member) {
      if (!FOLDABLE_KEYS.has(key))
        return null;
    }
    objects.push(member);
  }
  const properties = {};
  const required3 = /* @__PURE__ */ new Set();
  for (const object of objects) {
    for (const key in object.properties) {
      if (Object.prototype.hasOwnProperty.call(properties, key))
        continue;
      const parts = [];
      for (const other of objects) {
        const part = other.properties?.[key] ?? undeclaredConstraint(other);
        if (part === null || part === void 0)
          continue;
        if (!parts.some((seen) => JSON.stringify(seen) === JSON.stringify(part)))
          parts.push(part);
      }
      const merged = parts.length === 1 ? parts[0] : foldObjects(parts) ?? { allOf: parts };
      assignProp(properties, key, merged);
    }
    for (const key of object.required ?? [])
      required3.add(key);
  }
  const folded = { type: "object", properties };
  if (required3.size)
    folded.required = [...required3];
  if (objects.every((object) => object.additionalProperties === false)) {
    folded.additionalProperties = false;
  } else {
    const constraints = [];
    for (const object of objects) {
      const constraint = undeclaredConstraint(object);
      if (constraint && !constraints.some((seen) => JSON.stringify(seen) === JSON.stringify(constraint)))
        constraints.push(constraint);
    }
    if (constraints.length === 1)
      folded.additionalProperties = constraints[0];
    else if (constraints.length > 1)
      folded.additionalProperties = { allOf: constraints };
  }
  return folded;
}
__name(foldObjects, "foldObjects");
function foldIntersection(json) {
  const allOf = json.allOf;
  if (!Array.isArray(allOf) || allOf.length < 2)
    return;
  for (const key of FOLDABLE_KEYS)
    if (key in json)
      return;
  const unions = allOf.filter((m) => UNION_KEYS.some((k) => Array.isArray(m[k])));
  let folded = null;
  if (!unions.length) {
    folded = foldObjects(allOf);
  } else {
    const union2 = unions[0];
    const keyword = UNION_KEYS.find((k) => Array.isArray(union2[k]));
    if (Object.keys(union2).length !== 1)
      return;
    const rest = allOf.filter((m) => m !== union2);
    const branches = union2[keyword].map((branch) => foldObjects([...rest, branch]));
    if (branches.some((b) => !b))
      return;
    folded = { [keyword]: branches };
  }
  if (!folded)
    return;
  delete json.allOf;
  assignProps(json, folded);
}
__name(foldIntersection, "foldIntersection");
function finalize(ctx, schema) {
  const root = ctx.seen.get(schema);
  if (!root)
    throw new Error("Unprocessed schema. This is a bug in Zod.");
  const flattenRef = /* @__PURE__ */ __name((zodSchema) => {
    const seen = ctx.seen.get(zodSchema);
    if (seen.ref === null)
      return;
    const schema2 = seen.def ?? seen.schema;
    const _cached = { ...schema2 };
    const ref = seen.ref;
    seen.ref = null;
    if (ref) {
      flattenRef(ref);
      const refSeen = ctx.seen.get(ref);
      const refSchema = refSeen.schema;
      if (refSchema.$ref && (ctx.target === "draft-07" || ctx.target === "draft-04" || ctx.target === "openapi-3.0")) {
        schema2.allOf = schema2.allOf ?? [];
        schema2.allOf.push(refSchema);
      } else {
        assignProps(schema2, refSchema);
      }
      assignProps(schema2, _cached);
      const isParentRef = zodSchema._zod.parent === ref;
      if (isParentRef) {
        for (const key in schema2) {
          if (key === "$ref" || key === "allOf")
            continue;
          if (!(key in _cached)) {
            delete schema2[key];
          }
        }
      }
      if (refSchema.$ref && refSeen.def) {
        for (const key in schema2) {
          if (key === "$ref" || key === "allOf")
            continue;
          if (key in refSeen.def && JSON.stringify(schema2[key]) === JSON.stringify(refSeen.def[key])) {
            delete schema2[key];
          }
        }
      }
    }
    const parent = zodSchema._zod.parent;
    if (parent && parent !== ref) {
      flattenRef(parent);
      const parentSeen = ctx.seen.get(parent);
      if (parentSeen?.schema.$ref) {
        schema2.$ref = parentSeen.schema.$ref;
        if (parentSeen.def) {
          for (const key in schema2) {
            if (key === "$ref" || key === "allOf")
              continue;
            if (key in parentSeen.def && JSON.stringify(schema2[key]) === JSON.stringify(parentSeen.def[key])) {
              delete schema2[key];
            }
          }
        }
      }
    }
    ctx.override({
      zodSchema,
      jsonSchema: schema2,
      path: seen.path ?? []
    });
  }, "flattenRef");
  if (!ctx.external || ctx.sharedEmitDoneFor !== ctx.external) {
    for (const entry of [...ctx.seen.entries()].reverse()) {
      flattenRef(entry[0]);
    }
    if (ctx.target !== "openapi-3.0") {
      for (const entry of ctx.seen.entries()) {
        compactTypeUnion(entry[1].def ?? entry[1].schema);
      }
    }
    for (const rewrite of ctx.deferred)
      rewrite();
    if (ctx.intersections.length) {
      const carriers = /* @__PURE__ */ new Map();
      for (const seen of ctx.seen.values()) {
        for (const json of [seen.schema, seen.def]) {
          const allOf = json?.allOf;
          if (!Array.isArray(allOf))
            continue;
          const existing = carriers.get(allOf);
          if (existing)
            existing.push(json);
          else
            carriers.set(allOf, [json]);
        }
      }
      for (const allOf of ctx.intersections) {
        for (const json of carriers.get(allOf) ?? [])
          foldIntersection(json);
      }
    }
  }
  const result = {};
  if (ctx.target === "draft-2020-12") {
    result.$schema = "https://json-schema.org/draft/2020-12/schema";
  } else if (ctx.target === "draft-07") {
    result.$schema = "http://json-schema.org/draft-07/schema#";
  } else if (ctx.target === "draft-04") {
    result.$schema = "http://json-schema.org/draft-04/schema#";
  } else if (ctx.target === "openapi-3.0") {
  } else {
  }
  if (ctx.external?.uri) {
    const id = ctx.external.registry.get(schema)?.id;
    if (!id)
      throw new Error("Schema is missing an `id` property");
    result.$id = ctx.external.uri(id);
  }
  assignProps(result, root.defId ? root.schema : root.def ?? root.schema);
  const rootMetaId = ctx.metadataRegistry.get(schema)?.id;
  if (rootMetaId !== void 0 && result.id === rootMetaId)
    delete result.id;
  const defs = ctx.external?.defs ?? {};
  if (!ctx.external || ctx.sharedEmitDoneFor !== ctx.external) {
    for (const entry of ctx.seen.entries()) {
      const seen = entry[1];
      if (seen.def && seen.defId) {
        if (seen.def.id === seen.defId)
          delete seen.def.id;
        assignProp(defs, seen.defId, seen.def);
      }
    }
  }
  if (ctx.external)
    ctx.sharedEmitDoneFor = ctx.external;
  if (ctx.external) {
  } else {
    if (Object.keys(defs).length > 0) {
      if (ctx.target === "draft-2020-12") {
        result.$defs = defs;
      } else {
        result.definitions = defs;
      }
    }
  }
  try {
    const finalized = JSON.parse(JSON.stringify(result));
    Object.defineProperty(finalized, "~standard", {
      value: {
        ...schema["~standard"],
        jsonSchema: {
          input: createStandardJSONSchemaMethod(schema, "input", ctx.processors),
          output: createStandardJSONSchemaMethod(schema, "output", ctx.processors)
        }
      },
      enumerable: false,
      writable: false
    });
    return finalized;
  } catch (_err) {
    throw new Error("Error converting schema to JSON.");
  }
}
__name(finalize, "finalize");
function isTransforming(_schema, _ctx) {
  const ctx = _ctx ?? { seen: /* @__PURE__ */ new Set() };
  if (ctx.seen.has(_schema))
    return false;
  ctx.seen.add(_schema);
  const def = _schema._zod.def;
  if (def.type === "transform")
    return true;
  if (def.type === "array")
    return isTransforming(def.element, ctx);
  if (def.type === "set")
    return isTransforming(def.valueType, ctx);
  if (def.type === "lazy")
    return isTransforming(def.getter(), ctx);
  if (def.type === "promise" || def.type === "optional" || def.type === "nonoptional" || def.type === "nullable" || def.type === "readonly" || def.type === "default" || def.type === "prefault" || def.type === "catch") {
    return isTransforming(def.innerType, ctx);
  }
  if (def.type === "intersection") {
    return isTransforming(def.left, ctx) || isTransforming(def.right, ctx);
  }
  if (def.type === "record" || def.type === "map") {
    return isTransforming(def.keyType, ctx) || isTransforming(def.valueType, ctx);
  }
  if (def.type === "pipe") {
    if (_schema._zod.traits.has("$ZodCodec"))
      return true;
    return isTransforming(def.in, ctx) || isTransforming(def.out, ctx);
  }
  if (def.type === "object") {
    for (const key in def.shape) {
      if (isTransforming(def.shape[key], ctx))
        return true;
    }
    return false;
  }
  if (def.type === "union") {
    for (const option of def.options) {
      if (isTransforming(option, ctx))
        return true;
    }
    return false;
  }
  if (def.type === "tuple") {
    for (const item of def.items) {
      if (isTransforming(item, ctx))
        return true;
    }
    if (def.rest && isTransforming(def.rest, ctx))
      return true;
    return false;
  }
  return false;
}
__name(isTransforming, "isTransforming");
var createToJSONSchemaMethod = /* @__PURE__ */ __name((schema, processors = {}) => (params) => {
  const ctx = initializeContext({ ...params, processors });
  processSchema(schema, ctx);
  extractDefs(ctx, schema);
  return finalize(ctx, schema);
}, "createToJSONSchemaMethod");
var createStandardJSONSchemaMethod = /* @__PURE__ */ __name((schema, io, processors = {}) => (params) => {
  const { libraryOptions, target } = params ?? {};
  const ctx = initializeContext({ ...libraryOptions ?? {}, target, io, processors });
  processSchema(schema, ctx);
  extractDefs(ctx, schema);
  return finalize(ctx, schema);
}, "createStandardJSONSchemaMethod");

// node_modules/zod/v4/core/json-schema-processors.js
var narrowMin = /* @__PURE__ */ __name((agg, key, value) => {
  if (agg[key] === void 0 || value > agg[key])
    agg[key] = value;
}, "narrowMin");
var narrowMax = /* @__PURE__ */ __name((agg, key, value) => {
  if (agg[key] === void 0 || value < agg[key])
    agg[key] = value;
}, "narrowMax");
var narrowBoth = /* @__PURE__ */ __name((agg, value) => {
  narrowMin(agg, "minimum", value);
  narrowMax(agg, "maximum", value);
}, "narrowBoth");
var addDivisor = /* @__PURE__ */ __name((agg, value) => {
  agg.multipleOf ?? (agg.multipleOf = []);
  if (!agg.multipleOf.includes(value))
    agg.multipleOf.push(value);
}, "addDivisor");
var addPattern = /* @__PURE__ */ __name((agg, pattern) => {
  agg.patterns ?? (agg.patterns = /* @__PURE__ */ new Set());
  agg.patterns.add(pattern);
}, "addPattern");
var intersectMime = /* @__PURE__ */ __name((agg, mime) => {
  agg.mime = agg.mime ? agg.mime.filter((m) => mime.includes(m)) : [...mime];
}, "intersectMime");
var setFormat = /* @__PURE__ */ __name((agg, format) => {
  agg.format = format;
  if (format.includes("int"))
    agg.isInt = true;
}, "setFormat");
var minContributor = /* @__PURE__ */ __name((agg, def) => narrowMin(agg, "minimum", def.minimum), "minContributor");
var maxContributor = /* @__PURE__ */ __name((agg, def) => narrowMax(agg, "maximum", def.maximum), "maxContributor");
var formatContributor = /* @__PURE__ */ __name((ranges) => (agg, def) => {
  setFormat(agg, def.format);
  const [minimum, maximum] = ranges[def.format];
  narrowMin(agg, "minimum", minimum);
  narrowMax(agg, "maximum", maximum);
}, "formatContributor");
var contributors = {
  greater_than: /* @__PURE__ */ __name((agg, def) => narrowMin(agg, def.inclusive ? "minimum" : "exclusiveMinimum", def.value), "greater_than"),
  less_than: /* @__PURE__ */ __name((agg, def) => narrowMax(agg, def.inclusive ? "maximum" : "exclusiveMaximum", def.value), "less_than"),
  multiple_of: /* @__PURE__ */ __name((agg, def) => addDivisor(agg, def.value), "multiple_of"),
  number_format: formatContributor(NUMBER_FORMAT_RANGES),
  bigint_format: formatContributor(BIGINT_FORMAT_RANGES),
  min_length: minContributor,
  max_length: maxContributor,
  length_equals: /* @__PURE__ */ __name((agg, def) => narrowBoth(agg, def.length), "length_equals"),
  min_size: minContributor,
  max_size: maxContributor,
  size_equals: /* @__PURE__ */ __name((agg, def) => narrowBoth(agg, def.size), "size_equals"),
  string_format: /* @__PURE__ */ __name((agg, def) => {
    setFormat(agg, def.format);
    if (def.pattern)
      addPattern(agg, def.pattern);
    if (def.format === "base64" || def.format === "base64url")
      agg.contentEncoding = def.format;
    if (def.local || def.precision === -1)
      agg.laxFormat = true;
  }, "string_format"),
  mime_type: /* @__PURE__ */ __name((agg, def) => intersectMime(agg, def.mime), "mime_type")
};
function aggregateChecks(schema) {
  const agg = {};
  const def = schema._zod.def;
  const list = schema._zod.traits.has("$ZodCheck") ? [schema, ...def.checks ?? []] : def.checks ?? [];
  for (const ch of list)
    contributors[ch._zod.def.check]?.(agg, ch._zod.def);
  const bag = schema._zod.bag;
  if (bag.minimum !== void 0)
    narrowMin(agg, "minimum", bag.minimum);
  if (bag.exclusiveMinimum !== void 0)
    narrowMin(agg, "exclusiveMinimum", bag.exclusiveMinimum);
  if (bag.maximum !== void 0)
    narrowMax(agg, "maximum", bag.maximum);
  if (bag.exclusiveMaximum !== void 0)
    narrowMax(agg, "exclusiveMaximum", bag.exclusiveMaximum);
  if (bag.multipleOf !== void 0)
    addDivisor(agg, bag.multipleOf);
  if (bag.format !== void 0) {
    agg.format ?? (agg.format = bag.format);
    if (bag.format.includes("int"))
      agg.isInt = true;
  }
  if (bag.mime)
    intersectMime(agg, bag.mime);
  for (const pattern of bag.patterns ?? [])
    addPattern(agg, pattern);
  return agg;
}
__name(aggregateChecks, "aggregateChecks");
var formatMap = {
  guid: "uuid",
  url: "uri",
  datetime: "date-time",
  json_string: "json-string",
  regex: ""
  // do not set
};
var exactPatterns = /* @__PURE__ */ new Map([
  [base64Charset, base64],
  [base64urlCharset, base64url]
]);
var exactPattern = /* @__PURE__ */ __name((p) => exactPatterns.get(p) ?? p, "exactPattern");
var stringProcessor = /* @__PURE__ */ __name((schema, ctx, _json, _params) => {
  const json = _json;
  json.type = "string";
  const { minimum, maximum, format, patterns, contentEncoding, laxFormat } = aggregateChecks(schema);
  if (typeof minimum === "number")
    json.minLength = minimum;
  if (typeof maximum === "number")
    json.maxLength = maximum;
  if (format) {
    json.format = formatMap[format] ?? format;
    if (json.format === "")
      delete json.format;
    if (format === "time" || laxFormat) {
      delete json.format;
    }
  }
  if (contentEncoding)
    json.contentEncoding = contentEncoding;
  if (patterns && patterns.size > 0) {
    const patternList = [...patterns].map(exactPattern);
    if (patternList.length === 1)
      json.pattern = patternList[0].source;
    else if (patternList.length > 1) {
      json.allOf = [
        ...patternList.map((regex) => ({
          ...ctx.target === "draft-07" || ctx.target === "draft-04" || ctx.target === "openapi-3.0" ? { type: "string" } : {},
          pattern: regex.source
        }))
      ];
    }
  }
}, "stringProcessor");
var numberProcessor = /* @__PURE__ */ __name((schema, ctx, _json, params) => {
  const json = _json;
  const { minimum, maximum, multipleOf, exclusiveMaximum, exclusiveMinimum, isInt } = aggregateChecks(schema);
  json.type = isInt ? "integer" : "number";
  const exMin = typeof exclusiveMinimum === "number" && exclusiveMinimum >= (minimum ?? Number.NEGATIVE_INFINITY);
  const exMax = typeof exclusiveMaximum === "number" && exclusiveMaximum <= (maximum ?? Number.POSITIVE_INFINITY);
  const legacy = ctx.target === "draft-04" || ctx.target === "openapi-3.0";
  if (exMin) {
    if (legacy) {
      json.minimum = exclusiveMinimum;
      json.exclusiveMinimum = true;
    } else {
      json.exclusiveMinimum = exclusiveMinimum;
    }
  } else if (typeof minimum === "number") {
    json.minimum = minimum;
  }
  if (exMax) {
    if (legacy) {
      json.maximum = exclusiveMaximum;
      json.exclusiveMaximum = true;
    } else {
      json.exclusiveMaximum = exclusiveMaximum;
    }
  } else if (typeof maximum === "number") {
    json.maximum = maximum;
  }
  if (multipleOf) {
    const divisors = /* @__PURE__ */ new Set();
    for (const divisor of multipleOf) {
      if (Number.isFinite(divisor) && divisor !== 0)
        divisors.add(Math.abs(divisor));
      else
        handleUnrepresentable(schema, ctx, json, params, `A multipleOf divisor of ${divisor} cannot be represented in JSON Schema`);
    }
    const [first, ...rest] = divisors;
    if (first !== void 0)
      json.multipleOf = first;
    if (rest.length)
      json.allOf = [...json.allOf ?? [], ...rest.map((m) => ({ multipleOf: m }))];
  }
}, "numberProcessor");
var neverProcessor = /* @__PURE__ */ __name((_schema, _ctx, json, _params) => {
  json.not = {};
}, "neverProcessor");
var unknownProcessor = /* @__PURE__ */ __name((_schema, _ctx, _json, _params) => {
}, "unknownProcessor");
var enumProcessor = /* @__PURE__ */ __name((schema, _ctx, json, _params) => {
  const def = schema._zod.def;
  const values = getEnumValues(def.entries);
  if (values.length === 0) {
    json.not = {};
    return;
  }
  if (values.every((v) => typeof v === "number"))
    json.type = "number";
  if (values.every((v) => typeof v === "string"))
    json.type = "string";
  json.enum = values;
}, "enumProcessor");
var literalProcessor = /* @__PURE__ */ __name((schema, ctx, json, params) => {
  const def = schema._zod.def;
  if (def.values.length === 0) {
    json.not = {};
    return;
  }
  const vals = [];
  for (const val of def.values) {
    if (val === void 0) {
      if (handleUnrepresentable(schema, ctx, json, params, "Literal `undefined` cannot be represented in JSON Schema"))
        return;
    } else if (typeof val === "bigint") {
      if (handleUnrepresentable(schema, ctx, json, params, "BigInt literals cannot be represented in JSON Schema"))
        return;
      vals.push(Number(val));
    } else {
      vals.push(val);
    }
  }
  if (vals.length === 0) {
  } else if (vals.length === 1) {
    const val = vals[0];
    json.type = val === null ? "null" : typeof val;
    if (ctx.target === "draft-04" || ctx.target === "openapi-3.0") {
      json.enum = [val];
    } else {
      json.const = val;
    }
  } else {
    if (vals.every((v) => typeof v === "number"))
      json.type = "number";
    if (vals.every((v) => typeof v === "string"))
      json.type = "string";
    if (vals.every((v) => typeof v === "boolean"))
      json.type = "boolean";
    if (vals.every((v) => v === null))
      json.type = "null";
    json.enum = vals;
  }
}, "literalProcessor");
var customProcessor = /* @__PURE__ */ __name((schema, ctx, json, params) => {
  handleUnrepresentable(schema, ctx, json, params, "Custom types cannot be represented in JSON Schema");
}, "customProcessor");
var transformProcessor = /* @__PURE__ */ __name((schema, ctx, json, params) => {
  handleUnrepresentable(schema, ctx, json, params, "Transforms cannot be represented in JSON Schema");
}, "transformProcessor");
var arrayProcessor = /* @__PURE__ */ __name((schema, ctx, _json, params) => {
  const json = _json;
  const def = schema._zod.def;
  const { minimum, maximum } = aggregateChecks(schema);
  if (typeof minimum === "number")
    json.minItems = minimum;
  if (typeof maximum === "number")
    json.maxItems = maximum;
  json.type = "array";
  json.items = processSchema(def.element, ctx, {
    ...params,
    path: [...params.path, "items"]
  });
}, "arrayProcessor");
function inputOptin(schema) {
  const def = schema._zod.def;
  if (def.type === "pipe" && def.in._zod.traits.has("$ZodTransform")) {
    return inputOptin(def.out);
  }
  if (def.type === "catch") {
    return inputOptin(def.innerType);
  }
  return schema._zod.optin;
}
__name(inputOptin, "inputOptin");
var objectProcessor = /* @__PURE__ */ __name((schema, ctx, _json, params) => {
  const json = _json;
  const def = schema._zod.def;
  const shape = def.shape;
  const symbolKeys = Object.getOwnPropertySymbols(shape);
  if (symbolKeys.length && handleUnrepresentable(schema, ctx, json, params, "Symbol keys cannot be represented in JSON Schema")) {
    return;
  }
  json.type = "object";
  json.properties = {};
  for (const key in shape) {
    assignProp(json.properties, key, processSchema(shape[key], ctx, {
      ...params,
      path: [...params.path, "properties", key]
    }));
  }
  const requiredKeys = [];
  for (const key of Object.keys(shape)) {
    const field = def.shape[key];
    if (ctx.io === "input" ? inputOptin(field) === void 0 : field._zod.optout === void 0) {
      requiredKeys.push(key);
    }
  }
  if (requiredKeys.length > 0) {
    json.required = requiredKeys;
  }
  if (def.catchall?._zod.def.type === "never") {
    json.additionalProperties = false;
  } else if (!def.catchall) {
    if (ctx.io === "output")
      json.additionalProperties = false;
  } else if (def.catchall) {
    json.additionalProperties = processSchema(def.catchall, ctx, {
      ...params,
      path: [...params.path, "additionalProperties"]
    });
  }
}, "objectProcessor");
var unionProcessor = /* @__PURE__ */ __name((schema, ctx, json, params) => {
  const def = schema._zod.def;
  const isExclusive = def.inclusive === false;
  const options = def.options.map((x, i) => processSchema(x, ctx, {
    ...params,
    path: [...params.path, isExclusive ? "oneOf" : "anyOf", i]
  }));
  if (isExclusive) {
    json.oneOf = options;
  } else {
    json.anyOf = options;
  }
}, "unionProcessor");
var intersectionProcessor = /* @__PURE__ */ __name((schema, ctx, json, params) => {
  const def = schema._zod.def;
  const a = processSchema(def.left, ctx, {
    ...params,
    path: [...params.path, "allOf", 0]
  });
  const b = processSchema(def.right, ctx, {
    ...params,
    path: [...params.path, "allOf", 1]
  });
  const isSimpleIntersection = /* @__PURE__ */ __name((val) => "allOf" in val && Object.keys(val).length === 1, "isSimpleIntersection");
  const allOf = [
    ...isSimpleIntersection(a) ? a.allOf : [a],
    ...isSimpleIntersection(b) ? b.allOf : [b]
  ];
  json.allOf = allOf;
  ctx.intersections.push(allOf);
}, "intersectionProcessor");
var nullableProcessor = /* @__PURE__ */ __name((schema, ctx, json, params) => {
  const def = schema._zod.def;
  const inner = processSchema(def.innerType, ctx, params);
  const seen = ctx.seen.get(schema);
  if (ctx.target === "openapi-3.0") {
    seen.ref = def.innerType;
    json.nullable = true;
  } else {
    json.anyOf = [inner, { type: "null" }];
  }
}, "nullableProcessor");
var nonoptionalProcessor = /* @__PURE__ */ __name((schema, ctx, _json, params) => {
  const def = schema._zod.def;
  processSchema(def.innerType, ctx, params);
  const seen = ctx.seen.get(schema);
  seen.ref = def.innerType;
}, "nonoptionalProcessor");
var UNREPRESENTABLE_DEFAULT = /* @__PURE__ */ Symbol();
function serializeDefaultValue(value, schema, ctx, json, params) {
  let unrepresentable = false;
  const serialized = JSON.stringify(value, (_, val) => {
    if (typeof val !== "bigint")
      return val;
    unrepresentable = true;
    return null;
  });
  if (!unrepresentable)
    return JSON.parse(serialized);
  handleUnrepresentable(schema, ctx, json, params, "BigInt defaults cannot be represented in JSON Schema");
  return UNREPRESENTABLE_DEFAULT;
}
__name(serializeDefaultValue, "serializeDefaultValue");
var defaultProcessor = /* @__PURE__ */ __name((schema, ctx, json, params) => {
  const def = schema._zod.def;
  processSchema(def.innerType, ctx, params);
  const seen = ctx.seen.get(schema);
  seen.ref = def.innerType;
  const value = serializeDefaultValue(def.defaultValue, schema, ctx, json, params);
  if (value !== UNREPRESENTABLE_DEFAULT)
    json.default = value;
}, "defaultProcessor");
var prefaultProcessor = /* @__PURE__ */ __name((schema, ctx, json, params) => {
  const def = schema._zod.def;
  processSchema(def.innerType, ctx, params);
  const seen = ctx.seen.get(schema);
  seen.ref = def.innerType;
  if (ctx.io !== "input")
    return;
  const value = serializeDefaultValue(def.defaultValue, schema, ctx, json, params);
  if (value !== UNREPRESENTABLE_DEFAULT)
    json._prefault = value;
}, "prefaultProcessor");
var catchProcessor = /* @__PURE__ */ __name((schema, ctx, json, params) => {
  const def = schema._zod.def;
  processSchema(def.innerType, ctx, params);
  const seen = ctx.seen.get(schema);
  seen.ref = def.innerType;
  let catchValue;
  try {
    catchValue = def.catchValue(void 0);
  } catch {
    handleUnrepresentable(schema, ctx, json, params, "Dynamic catch values are not supported in JSON Schema");
    return;
  }
  json.default = catchValue;
}, "catchProcessor");
var pipeProcessor = /* @__PURE__ */ __name((schema, ctx, _json, params) => {
  const def = schema._zod.def;
  const inIsTransform = def.in._zod.traits.has("$ZodTransform");
  const innerType = ctx.io === "input" ? inIsTransform ? def.out : def.in : def.out;
  processSchema(innerType, ctx, params);
  const seen = ctx.seen.get(schema);
  seen.ref = innerType;
}, "pipeProcessor");
var readonlyProcessor = /* @__PURE__ */ __name((schema, ctx, json, params) => {
  const def = schema._zod.def;
  processSchema(def.innerType, ctx, params);
  const seen = ctx.seen.get(schema);
  seen.ref = def.innerType;
  json.readOnly = true;
}, "readonlyProcessor");
var optionalProcessor = /* @__PURE__ */ __name((schema, ctx, _json, params) => {
  const def = schema._zod.def;
  processSchema(def.innerType, ctx, params);
  const seen = ctx.seen.get(schema);
  seen.ref = def.innerType;
}, "optionalProcessor");

// node_modules/zod/v4/classic/errors.js
var _installedErrorProtos = /* @__PURE__ */ new WeakSet([Object.prototype, Error.prototype]);
function _lazyMethod(proto, key, make) {
  Object.defineProperty(proto, key, {
    configurable: true,
    enumerable: false,
    get() {
      const value = make(this);
      Object.defineProperty(this, key, { value, configurable: true, writable: true });
      return value;
    },
    set(value) {
      Object.defineProperty(this, key, { value, configurable: true, writable: true });
    }
  });
}
__name(_lazyMethod, "_lazyMethod");
var initializer2 = /* @__PURE__ */ __name((inst, issues) => {
  $ZodError.init(inst, issues);
  inst.name = "ZodError";
  const proto = Object.getPrototypeOf(inst);
  if (_installedErrorProtos.has(proto))
    return;
  _installedErrorProtos.add(proto);
  _lazyMethod(proto, "format", (self) => (mapper) => formatError(self, mapper));
  _lazyMethod(proto, "flatten", (self) => (mapper) => flattenError(self, mapper));
  _lazyMethod(proto, "addIssue", (self) => (issue2) => {
    self.issues.push(issue2);
    self.message = JSON.stringify(self.issues, jsonStringifyReplacer, 2);
  });
  _lazyMethod(proto, "addIssues", (self) => (issues2) => {
    self.issues.push(...issues2);
    self.message = JSON.stringify(self.issues, jsonStringifyReplacer, 2);
  });
  Object.defineProperty(proto, "isEmpty", {
    configurable: true,
    enumerable: false,
    get() {
      return this.issues.length === 0;
    }
  });
}, "initializer");
var ZodRealError = /* @__PURE__ */ $constructor("ZodError", initializer2, void 0, {
  Parent: Error
});

// node_modules/zod/v4/classic/parse.js
var parse = /* @__PURE__ */ _parse(ZodRealError);
var parseAsync = /* @__PURE__ */ _parseAsync(ZodRealError);
var safeParse = /* @__PURE__ */ _safeParse(ZodRealError);
var safeParseAsync = /* @__PURE__ */ _safeParseAsync(ZodRealError);
var encode = /* @__PURE__ */ _encode(ZodRealError);
var decode = /* @__PURE__ */ _decode(ZodRealError);
var encodeAsync = /* @__PURE__ */ _encodeAsync(ZodRealError);
var decodeAsync = /* @__PURE__ */ _decodeAsync(ZodRealError);
var safeEncode = /* @__PURE__ */ _safeEncode(ZodRealError);
var safeDecode = /* @__PURE__ */ _safeDecode(ZodRealError);
var safeEncodeAsync = /* @__PURE__ */ _safeEncodeAsync(ZodRealError);
var safeDecodeAsync = /* @__PURE__ */ _safeDecodeAsync(ZodRealError);

// node_modules/zod/v4/classic/schemas.js
function _ensureDefaultLocale() {
  if (!globalConfig.localeError)
    config(en_default());
}
__name(_ensureDefaultLocale, "_ensureDefaultLocale");
function _ensureDefaultMemoizer() {
  if (!globalConfig.memoizer)
    config({ memoizer: memoizer() });
}
__name(_ensureDefaultMemoizer, "_ensureDefaultMemoizer");
var ZodType = /* @__PURE__ */ $constructor("ZodType", (inst, def) => {
  _ensureDefaultLocale();
  $ZodType.init(inst, def);
  inst.def = def;
  inst.type = def.type;
  return inst;
}, {
  check(...chks) {
    const def = this.def;
    return this.clone(util_exports.mergeDefs(def, {
      checks: [
        ...def.checks ?? [],
        ...chks.map((ch) => typeof ch === "function" ? { _zod: { check: ch, def: { check: "custom" }, onattach: [] } } : ch)
      ]
    }), { parent: true });
  },
  with(...chks) {
    return this.check(...chks);
  },
  clone(def, params) {
    return clone(this, def, params);
  },
  brand() {
    return this;
  },
  register(reg, meta2) {
    reg.add(this, meta2);
    return this;
  },
  refine(check, params) {
    return this.check(refine(check, params));
  },
  superRefine(refinement, params) {
    return this.check(superRefine(refinement, params));
  },
  overwrite(fn) {
    return this.check(_overwrite(fn));
  },
  optional() {
    return optional(this);
  },
  exactOptional() {
    return exactOptional(this);
  },
  nullable() {
    return nullable(this);
  },
  nullish() {
    return optional(nullable(this));
  },
  nonoptional(params) {
    return nonoptional(this, params);
  },
  array() {
    return array(this);
  },
  or(arg) {
    return union([this, arg]);
  },
  and(arg) {
    return intersection(this, arg);
  },
  transform(tx) {
    return pipe(this, transform(tx));
  },
  default(d) {
    return _default(this, d);
  },
  prefault(d) {
    return prefault(this, d);
  },
  catch(params) {
    return _catch(this, params);
  },
  pipe(target) {
    return pipe(this, target);
  },
  readonly() {
    return readonly(this);
  },
  describe(description) {
    const cl = this.clone();
    globalRegistry.add(cl, { description });
    return cl;
  },
  meta(...args) {
    if (args.length === 0)
      return globalRegistry.get(this);
    const cl = this.clone();
    globalRegistry.add(cl, args[0]);
    return cl;
  },
  isOptional() {
    return this.safeParse(void 0).success;
  },
  isNullable() {
    return this.safeParse(null).success;
  },
  apply(fn, ...args) {
    return args.length === 0 ? fn(this) : fn(this, ...args);
  },
  // Overrides core's `~standard` to add `jsonSchema`. Must stay a prototype entry: redefining it per instance demotes instances to dictionary mode.
  get "~standard"() {
    return util_exports.hide(this, "~standard", {
      ...standardProps(this),
      jsonSchema: {
        input: createStandardJSONSchemaMethod(this, "input"),
        output: createStandardJSONSchemaMethod(this, "output")
      }
    });
  },
  set "~standard"(value) {
    util_exports.own(this, "~standard", value);
  },
  parse: /* @__PURE__ */ __name(function _parse2(data, params) {
    return parse(this, data, params, { callee: _parse2 });
  }, "_parse"),
  parseAsync: /* @__PURE__ */ __name(async function _parseAsync2(data, params) {
    return await parseAsync(this, data, params, { callee: _parseAsync2 });
  }, "_parseAsync"),
  safeParse(data, params) {
    return safeParse(this, data, params);
  },
  async safeParseAsync(data, params) {
    return safeParseAsync(this, data, params);
  },
  // `spa` is an alias: same function object as `safeParseAsync`, as before.
  get spa() {
    return this?.safeParseAsync;
  },
  set spa(value) {
    util_exports.own(this, "spa", value);
  },
  validate(data, params) {
    return validate(this, data, params);
  },
  validateAsync(data, params) {
    return validateAsync(this, data, params);
  },
  encode: /* @__PURE__ */ __name(function _encode2(data, params) {
    return encode(this, data, params, { callee: _encode2 });
  }, "_encode"),
  decode: /* @__PURE__ */ __name(function _decode2(data, params) {
    return decode(this, data, params, { callee: _decode2 });
  }, "_decode"),
  encodeAsync: /* @__PURE__ */ __name(async function _encodeAsync2(data, params) {
    return await encodeAsync(this, data, params, { callee: _encodeAsync2 });
  }, "_encodeAsync"),
  decodeAsync: /* @__PURE__ */ __name(async function _decodeAsync2(data, params) {
    return await decodeAsync(this, data, params, { callee: _decodeAsync2 });
  }, "_decodeAsync"),
  safeEncode(data, params) {
    return safeEncode(this, data, params);
  },
  safeDecode(data, params) {
    return safeDecode(this, data, params);
  },
  async safeEncodeAsync(data, params) {
    return safeEncodeAsync(this, data, params);
  },
  async safeDecodeAsync(data, params) {
    return safeDecodeAsync(this, data, params);
  },
  toJSONSchema(params) {
    return createToJSONSchemaMethod(this, {})(params);
  },
  // Reads through to the registry on every access, so it must not cache.
  get description() {
    return globalRegistry.get(this)?.description;
  },
  // No setter: `schema._def = x` throws, as it did when `_def` was a non-writable own property.
  get _def() {
    return this._zod.def;
  }
});
var _ZodString = /* @__PURE__ */ $constructor(
  "_ZodString",
  (inst, def) => {
    $ZodString.init(inst, def);
    ZodType.init(inst, def);
    inst._zod.processJSONSchema = (ctx, json, params) => stringProcessor(inst, ctx, json, params);
  },
  /* @__PURE__ */ util_exports.derived({
    format: /* @__PURE__ */ __name((inst) => aggregateChecks(inst).format ?? null, "format"),
    minLength: /* @__PURE__ */ __name((inst) => aggregateChecks(inst).minimum ?? null, "minLength"),
    maxLength: /* @__PURE__ */ __name((inst) => aggregateChecks(inst).maximum ?? null, "maxLength")
  }, {
    regex(...args) {
      return this.check(_regex(...args));
    },
    includes(...args) {
      return this.check(_includes(...args));
    },
    startsWith(...args) {
      return this.check(_startsWith(...args));
    },
    endsWith(...args) {
      return this.check(_endsWith(...args));
    },
    min(...args) {
      return this.check(_minLength(...args));
    },
    max(...args) {
      return this.check(_maxLength(...args));
    },
    length(...args) {
      return this.check(_length(...args));
    },
    nonempty(...args) {
      return this.check(_minLength(1, ...args));
    },
    lowercase(params) {
      return this.check(_lowercase(params));
    },
    uppercase(params) {
      return this.check(_uppercase(params));
    },
    trim() {
      return this.check(_trim());
    },
    normalize(...args) {
      return this.check(_normalize(...args));
    },
    toLowerCase() {
      return this.check(_toLowerCase());
    },
    toUpperCase() {
      return this.check(_toUpperCase());
    },
    slugify() {
      return this.check(_slugify());
    }
  })
);
var ZodString = /* @__PURE__ */ $constructor("ZodString", (inst, def) => {
  $ZodString.init(inst, def);
  _ZodString.init(inst, def);
}, {
  email(params) {
    return this.check(_email(ZodEmail, params));
  },
  url(params) {
    return this.check(_url(ZodURL, params));
  },
  jwt(params) {
    return this.check(_jwt(ZodJWT, params));
  },
  emoji(params) {
    return this.check(_emoji2(ZodEmoji, params));
  },
  guid(params) {
    return this.check(_guid(ZodGUID, params));
  },
  uuid(params) {
    return this.check(_uuid(ZodUUID, params));
  },
  uuidv4(params) {
    return this.check(_uuidv4(ZodUUID, params));
  },
  uuidv6(params) {
    return this.check(_uuidv6(ZodUUID, params));
  },
  uuidv7(params) {
    return this.check(_uuidv7(ZodUUID, params));
  },
  nanoid(params) {
    return this.check(_nanoid(ZodNanoID, params));
  },
  cuid(params) {
    return this.check(_cuid(ZodCUID, params));
  },
  cuid2(params) {
    return this.check(_cuid2(ZodCUID2, params));
  },
  ulid(params) {
    return this.check(_ulid(ZodULID, params));
  },
  base64(params) {
    return this.check(_base64(ZodBase64, params));
  },
  base64url(params) {
    return this.check(_base64url(ZodBase64URL, params));
  },
  xid(params) {
    return this.check(_xid(ZodXID, params));
  },
  ksuid(params) {
    return this.check(_ksuid(ZodKSUID, params));
  },
  ipv4(params) {
    return this.check(_ipv4(ZodIPv4, params));
  },
  ipv6(params) {
    return this.check(_ipv6(ZodIPv6, params));
  },
  cidrv4(params) {
    return this.check(_cidrv4(ZodCIDRv4, params));
  },
  cidrv6(params) {
    return this.check(_cidrv6(ZodCIDRv6, params));
  },
  e164(params) {
    return this.check(_e164(ZodE164, params));
  },
  datetime(params) {
    return this.check(_isoDateTime(ZodISODateTime, params));
  },
  date(params) {
    return this.check(_isoDate(ZodISODate, params));
  },
  time(params) {
    return this.check(_isoTime(ZodISOTime, params));
  },
  duration(params) {
    return this.check(_isoDuration(ZodISODuration, params));
  }
});
function string2(params) {
  return _string(ZodString, params);
}
__name(string2, "string");
var ZodStringFormat = /* @__PURE__ */ $constructor("ZodStringFormat", (inst, def) => {
  $ZodStringFormat.init(inst, def);
  _ZodString.init(inst, def);
});
var ZodISODateTime = /* @__PURE__ */ $constructor("ZodISODateTime", (inst, def) => {
  $ZodISODateTime.init(inst, def);
  ZodStringFormat.init(inst, def);
});
var ZodISODate = /* @__PURE__ */ $constructor("ZodISODate", (inst, def) => {
  $ZodISODate.init(inst, def);
  ZodStringFormat.init(inst, def);
});
var ZodISOTime = /* @__PURE__ */ $constructor("ZodISOTime", (inst, def) => {
  $ZodISOTime.init(inst, def);
  ZodStringFormat.init(inst, def);
});
var ZodISODuration = /* @__PURE__ */ $constructor("ZodISODuration", (inst, def) => {
  $ZodISODuration.init(inst, def);
  ZodStringFormat.init(inst, def);
});
var ZodEmail = /* @__PURE__ */ $constructor("ZodEmail", (inst, def) => {
  $ZodEmail.init(inst, def);
  ZodStringFormat.init(inst, def);
});
var ZodGUID = /* @__PURE__ */ $constructor("ZodGUID", (inst, def) => {
  $ZodGUID.init(inst, def);
  ZodStringFormat.init(inst, def);
});
var ZodUUID = /* @__PURE__ */ $constructor("ZodUUID", (inst, def) => {
  $ZodUUID.init(inst, def);
  ZodStringFormat.init(inst, def);
});
function uuid2(params) {
  return _uuid(ZodUUID, params);
}
__name(uuid2, "uuid");
var ZodURL = /* @__PURE__ */ $constructor("ZodURL", (inst, def) => {
  $ZodURL.init(inst, def);
  ZodStringFormat.init(inst, def);
});
var ZodEmoji = /* @__PURE__ */ $constructor("ZodEmoji", (inst, def) => {
  $ZodEmoji.init(inst, def);
  ZodStringFormat.init(inst, def);
});
var ZodNanoID = /* @__PURE__ */ $constructor("ZodNanoID", (inst, def) => {
  $ZodNanoID.init(inst, def);
  ZodStringFormat.init(inst, def);
});
var ZodCUID = /* @__PURE__ */ $constructor("ZodCUID", (inst, def) => {
  $ZodCUID.init(inst, def);
  ZodStringFormat.init(inst, def);
});
var ZodCUID2 = /* @__PURE__ */ $constructor("ZodCUID2", (inst, def) => {
  $ZodCUID2.init(inst, def);
  ZodStringFormat.init(inst, def);
});
var ZodULID = /* @__PURE__ */ $constructor("ZodULID", (inst, def) => {
  $ZodULID.init(inst, def);
  ZodStringFormat.init(inst, def);
});
var ZodXID = /* @__PURE__ */ $constructor("ZodXID", (inst, def) => {
  $ZodXID.init(inst, def);
  ZodStringFormat.init(inst, def);
});
var ZodKSUID = /* @__PURE__ */ $constructor("ZodKSUID", (inst, def) => {
  $ZodKSUID.init(inst, def);
  ZodStringFormat.init(inst, def);
});
var ZodIPv4 = /* @__PURE__ */ $constructor("ZodIPv4", (inst, def) => {
  $ZodIPv4.init(inst, def);
  ZodStringFormat.init(inst, def);
});
var ZodIPv6 = /* @__PURE__ */ $constructor("ZodIPv6", (inst, def) => {
  $ZodIPv6.init(inst, def);
  ZodStringFormat.init(inst, def);
});
var ZodCIDRv4 = /* @__PURE__ */ $constructor("ZodCIDRv4", (inst, def) => {
  $ZodCIDRv4.init(inst, def);
  ZodStringFormat.init(inst, def);
});
var ZodCIDRv6 = /* @__PURE__ */ $constructor("ZodCIDRv6", (inst, def) => {
  $ZodCIDRv6.init(inst, def);
  ZodStringFormat.init(inst, def);
});
var ZodBase64 = /* @__PURE__ */ $constructor("ZodBase64", (inst, def) => {
  $ZodBase64.init(inst, def);
  ZodStringFormat.init(inst, def);
});
var ZodBase64URL = /* @__PURE__ */ $constructor("ZodBase64URL", (inst, def) => {
  $ZodBase64URL.init(inst, def);
  ZodStringFormat.init(inst, def);
});
var ZodE164 = /* @__PURE__ */ $constructor("ZodE164", (inst, def) => {
  $ZodE164.init(inst, def);
  ZodStringFormat.init(inst, def);
});
var ZodJWT = /* @__PURE__ */ $constructor("ZodJWT", (inst, def) => {
  $ZodJWT.init(inst, def);
  ZodStringFormat.init(inst, def);
});
var ZodNumber = /* @__PURE__ */ $constructor(
  "ZodNumber",
  (inst, def) => {
    $ZodNumber.init(inst, def);
    ZodType.init(inst, def);
    inst._zod.processJSONSchema = (ctx, json, params) => numberProcessor(inst, ctx, json, params);
    inst.isFinite = true;
  },
  /* @__PURE__ */ util_exports.derived({
    minValue: /* @__PURE__ */ __name((inst) => {
      const { minimum, exclusiveMinimum } = aggregateChecks(inst);
      return Math.max(minimum ?? Number.NEGATIVE_INFINITY, exclusiveMinimum ?? Number.NEGATIVE_INFINITY);
    }, "minValue"),
    maxValue: /* @__PURE__ */ __name((inst) => {
      const { maximum, exclusiveMaximum } = aggregateChecks(inst);
      return Math.min(maximum ?? Number.POSITIVE_INFINITY, exclusiveMaximum ?? Number.POSITIVE_INFINITY);
    }, "maxValue"),
    isInt: /* @__PURE__ */ __name((inst) => {
      const { isInt, multipleOf } = aggregateChecks(inst);
      return !!isInt || !!multipleOf?.some(Number.isSafeInteger);
    }, "isInt"),
    format: /* @__PURE__ */ __name((inst) => aggregateChecks(inst).format ?? null, "format")
  }, {
    gt(value, params) {
      return this.check(_gt(value, params));
    },
    gte(value, params) {
      return this.check(_gte(value, params));
    },
    min(value, params) {
      return this.check(_gte(value, params));
    },
    lt(value, params) {
      return this.check(_lt(value, params));
    },
    lte(value, params) {
      return this.check(_lte(value, params));
    },
    max(value, params) {
      return this.check(_lte(value, params));
    },
    int(params) {
      return this.check(int(params));
    },
    safe(params) {
      return this.check(int(params));
    },
    positive(params) {
      return this.check(_gt(0, params));
    },
    nonnegative(params) {
      return this.check(_gte(0, params));
    },
    negative(params) {
      return this.check(_lt(0, params));
    },
    nonpositive(params) {
      return this.check(_lte(0, params));
    },
    multipleOf(value, params) {
      return this.check(_multipleOf(value, params));
    },
    step(value, params) {
      return this.check(_multipleOf(value, params));
    },
    finite() {
      return this;
    }
  })
);
function number2(params) {
  return _number(ZodNumber, params);
}
__name(number2, "number");
var ZodNumberFormat = /* @__PURE__ */ $constructor("ZodNumberFormat", (inst, def) => {
  $ZodNumberFormat.init(inst, def);
  ZodNumber.init(inst, def);
});
function int(params) {
  return _int(ZodNumberFormat, params);
}
__name(int, "int");
var ZodUnknown = /* @__PURE__ */ $constructor("ZodUnknown", (inst, def) => {
  $ZodUnknown.init(inst, def);
  ZodType.init(inst, def);
  inst._zod.processJSONSchema = (ctx, json, params) => unknownProcessor(inst, ctx, json, params);
});
function unknown() {
  return _unknown(ZodUnknown);
}
__name(unknown, "unknown");
var ZodNever = /* @__PURE__ */ $constructor("ZodNever", (inst, def) => {
  $ZodNever.init(inst, def);
  ZodType.init(inst, def);
  inst._zod.processJSONSchema = (ctx, json, params) => neverProcessor(inst, ctx, json, params);
});
function never(params) {
  return _never(ZodNever, params);
}
__name(never, "never");
var ZodArray = /* @__PURE__ */ $constructor("ZodArray", (inst, def) => {
  _ensureDefaultMemoizer();
  $ZodArray.init(inst, def);
  ZodType.init(inst, def);
  inst._zod.processJSONSchema = (ctx, json, params) => arrayProcessor(inst, ctx, json, params);
  inst.element = def.element;
}, {
  min(n, params) {
    return this.check(_minLength(n, params));
  },
  nonempty(params) {
    return this.check(_minLength(1, params));
  },
  max(n, params) {
    return this.check(_maxLength(n, params));
  },
  length(n, params) {
    return this.check(_length(n, params));
  },
  unwrap() {
    return this.element;
  }
});
function array(element, params) {
  return _array(ZodArray, element, params);
}
__name(array, "array");
var ZodObject = /* @__PURE__ */ $constructor("ZodObject", (inst, def) => {
  _ensureDefaultMemoizer();
  $ZodObjectJIT.init(inst, def);
  ZodType.init(inst, def);
  inst._zod.processJSONSchema = (ctx, json, params) => objectProcessor(inst, ctx, json, params);
  util_exports.installLazyProp(inst, "shape", (self) => self._zod.def.shape, false);
}, {
  keyof() {
    return _enum(Object.keys(this._zod.def.shape));
  },
  catchall(catchall) {
    return this.clone(util_exports.mergeDefs(this._zod.def, { catchall }));
  },
  passthrough() {
    return this.clone(util_exports.mergeDefs(this._zod.def, { catchall: unknown() }));
  },
  loose() {
    return this.clone(util_exports.mergeDefs(this._zod.def, { catchall: unknown() }));
  },
  strict() {
    return this.clone(util_exports.mergeDefs(this._zod.def, { catchall: never() }));
  },
  strip() {
    return this.clone(util_exports.mergeDefs(this._zod.def, { catchall: void 0 }));
  },
  extend(incoming) {
    return util_exports.extend(this, incoming);
  },
  safeExtend(incoming) {
    return util_exports.safeExtend(this, incoming);
  },
  merge(other) {
    return util_exports.merge(this, other);
  },
  pick(mask) {
    return util_exports.pick(this, mask);
  },
  omit(mask) {
    return util_exports.omit(this, mask);
  },
  partial(...args) {
    return util_exports.partial(ZodOptional, this, args[0]);
  },
  exactPartial(...args) {
    return util_exports.partial(ZodExactOptional, this, args[0], "exactPartial");
  },
  required(...args) {
    return util_exports.required(ZodNonOptional, this, args[0]);
  }
});
function strictObject(shape, params) {
  return new ZodObject({
    type: "object",
    shape,
    catchall: never(),
    ...util_exports.normalizeParams(params)
  });
}
__name(strictObject, "strictObject");
var ZodUnion = /* @__PURE__ */ $constructor("ZodUnion", (inst, def) => {
  $ZodUnion.init(inst, def);
  ZodType.init(inst, def);
  inst._zod.processJSONSchema = (ctx, json, params) => unionProcessor(inst, ctx, json, params);
  inst.options = def.options;
});
function union(options, params) {
  return new ZodUnion({
    type: "union",
    options,
    ...util_exports.normalizeParams(params)
  });
}
__name(union, "union");
var ZodIntersection = /* @__PURE__ */ $constructor("ZodIntersection", (inst, def) => {
  $ZodIntersection.init(inst, def);
  ZodType.init(inst, def);
  inst._zod.processJSONSchema = (ctx, json, params) => intersectionProcessor(inst, ctx, json, params);
});
function intersection(left, right) {
  return new ZodIntersection({
    type: "intersection",
    left,
    right
  });
}
__name(intersection, "intersection");
var ZodEnum = /* @__PURE__ */ $constructor("ZodEnum", (inst, def) => {
  $ZodEnum.init(inst, def);
  ZodType.init(inst, def);
  inst._zod.processJSONSchema = (ctx, json, params) => enumProcessor(inst, ctx, json, params);
  inst.enum = def.entries;
  inst.options = [...inst._zod.values];
  const keys = new Set(Object.keys(def.entries));
  inst.extract = (values, params) => {
    const newEntries = {};
    for (const value of values) {
      if (keys.has(value)) {
        newEntries[value] = def.entries[value];
      } else
        throw new Error(`Key ${value} not found in enum`);
    }
    return new ZodEnum({
      ...def,
      checks: [],
      ...util_exports.normalizeParams(params),
      entries: newEntries
    });
  };
  inst.exclude = (values, params) => {
    const newEntries = { ...def.entries };
    for (const value of values) {
      if (keys.has(value)) {
        delete newEntries[value];
      } else
        throw new Error(`Key ${value} not found in enum`);
    }
    return new ZodEnum({
      ...def,
      checks: [],
      ...util_exports.normalizeParams(params),
      entries: newEntries
    });
  };
});
function _enum(values, params) {
  const entries = Array.isArray(values) ? Object.fromEntries(values.map((v) => [v, v])) : values;
  return new ZodEnum({
    type: "enum",
    entries,
    ...util_exports.normalizeParams(params)
  });
}
__name(_enum, "_enum");
var ZodLiteral = /* @__PURE__ */ $constructor("ZodLiteral", (inst, def) => {
  $ZodLiteral.init(inst, def);
  ZodType.init(inst, def);
  inst._zod.processJSONSchema = (ctx, json, params) => literalProcessor(inst, ctx, json, params);
  inst.values = new Set(def.values);
  Object.defineProperty(inst, "value", {
    get() {
      if (def.values.length > 1) {
        throw new Error("This schema contains multiple valid literal values. Use `.values` instead.");
      }
      return def.values[0];
    }
  });
});
function literal(value, params) {
  return new ZodLiteral({
    type: "literal",
    values: Array.isArray(value) ? value : [value],
    ...util_exports.normalizeParams(params)
  });
}
__name(literal, "literal");
var ZodTransform = /* @__PURE__ */ $constructor("ZodTransform", (inst, def) => {
  _ensureDefaultMemoizer();
  $ZodTransform.init(inst, def);
  ZodType.init(inst, def);
  inst._zod.processJSONSchema = (ctx, json, params) => transformProcessor(inst, ctx, json, params);
  inst._zod.parse = (payload, _ctx) => {
    if (_ctx.direction === "backward") {
      throw new $ZodEncodeError(inst.constructor.name);
    }
    payload.addIssue = (issue2) => {
      if (typeof issue2 === "string") {
        payload.issues.push(util_exports.issue(issue2, payload.value, def));
      } else {
        const _issue = issue2;
        if (_issue.fatal)
          _issue.continue = false;
        _issue.code ?? (_issue.code = "custom");
        if (!("input" in _issue))
          _issue.input = payload.value;
        _issue.inst ?? (_issue.inst = inst);
        payload.issues.push(util_exports.issue(_issue));
      }
    };
    const output = def.transform(payload.value, payload);
    if (output instanceof Promise) {
      return output.then((output2) => {
        payload.value = output2;
        return payload;
      });
    }
    payload.value = output;
    return payload;
  };
});
function transform(fn) {
  return new ZodTransform({
    type: "transform",
    transform: fn
  });
}
__name(transform, "transform");
var ZodOptional = /* @__PURE__ */ $constructor("ZodOptional", (inst, def) => {
  $ZodOptional.init(inst, def);
  ZodType.init(inst, def);
  inst._zod.processJSONSchema = (ctx, json, params) => optionalProcessor(inst, ctx, json, params);
  inst.unwrap = () => inst._zod.def.innerType;
});
function optional(innerType) {
  return new ZodOptional({
    type: "optional",
    innerType
  });
}
__name(optional, "optional");
var ZodExactOptional = /* @__PURE__ */ $constructor("ZodExactOptional", (inst, def) => {
  $ZodExactOptional.init(inst, def);
  ZodType.init(inst, def);
  inst._zod.processJSONSchema = (ctx, json, params) => optionalProcessor(inst, ctx, json, params);
  inst.unwrap = () => inst._zod.def.innerType;
});
function exactOptional(innerType) {
  return new ZodExactOptional({
    type: "optional",
    innerType
  });
}
__name(exactOptional, "exactOptional");
var ZodNullable = /* @__PURE__ */ $constructor("ZodNullable", (inst, def) => {
  $ZodNullable.init(inst, def);
  ZodType.init(inst, def);
  inst._zod.processJSONSchema = (ctx, json, params) => nullableProcessor(inst, ctx, json, params);
  inst.unwrap = () => inst._zod.def.innerType;
});
function nullable(innerType) {
  return new ZodNullable({
    type: "nullable",
    innerType
  });
}
__name(nullable, "nullable");
var ZodDefault = /* @__PURE__ */ $constructor("ZodDefault", (inst, def) => {
  $ZodDefault.init(inst, def);
  ZodType.init(inst, def);
  inst._zod.processJSONSchema = (ctx, json, params) => defaultProcessor(inst, ctx, json, params);
  inst.unwrap = () => inst._zod.def.innerType;
  inst.removeDefault = inst.unwrap;
});
function _default(innerType, defaultValue) {
  return new ZodDefault({
    type: "default",
    innerType,
    get defaultValue() {
      return typeof defaultValue === "function" ? defaultValue() : util_exports.shallowClone(defaultValue);
    }
  });
}
__name(_default, "_default");
var ZodPrefault = /* @__PURE__ */ $constructor("ZodPrefault", (inst, def) => {
  $ZodPrefault.init(inst, def);
  ZodType.init(inst, def);
  inst._zod.processJSONSchema = (ctx, json, params) => prefaultProcessor(inst, ctx, json, params);
  inst.unwrap = () => inst._zod.def.innerType;
});
function prefault(innerType, defaultValue) {
  return new ZodPrefault({
    type: "prefault",
    innerType,
    get defaultValue() {
      return typeof defaultValue === "function" ? defaultValue() : util_exports.shallowClone(defaultValue);
    }
  });
}
__name(prefault, "prefault");
var ZodNonOptional = /* @__PURE__ */ $constructor("ZodNonOptional", (inst, def) => {
  $ZodNonOptional.init(inst, def);
  ZodType.init(inst, def);
  inst._zod.processJSONSchema = (ctx, json, params) => nonoptionalProcessor(inst, ctx, json, params);
  inst.unwrap = () => inst._zod.def.innerType;
});
function nonoptional(innerType, params) {
  return new ZodNonOptional({
    type: "nonoptional",
    innerType,
    ...util_exports.normalizeParams(params)
  });
}
__name(nonoptional, "nonoptional");
var ZodCatch = /* @__PURE__ */ $constructor("ZodCatch", (inst, def) => {
  $ZodCatch.init(inst, def);
  ZodType.init(inst, def);
  inst._zod.processJSONSchema = (ctx, json, params) => catchProcessor(inst, ctx, json, params);
  inst.unwrap = () => inst._zod.def.innerType;
  inst.removeCatch = inst.unwrap;
});
function _catch(innerType, catchValue) {
  return new ZodCatch({
    type: "catch",
    innerType,
    catchValue: typeof catchValue === "function" ? catchValue : util_exports.constantCatch(catchValue)
  });
}
__name(_catch, "_catch");
var ZodPipe = /* @__PURE__ */ $constructor("ZodPipe", (inst, def) => {
  $ZodPipe.init(inst, def);
  ZodType.init(inst, def);
  inst._zod.processJSONSchema = (ctx, json, params) => pipeProcessor(inst, ctx, json, params);
  inst.in = def.in;
  inst.out = def.out;
});
function pipe(in_, out) {
  return new ZodPipe({
    type: "pipe",
    in: in_,
    out
    // ...util.normalizeParams(params),
  });
}
__name(pipe, "pipe");
var ZodReadonly = /* @__PURE__ */ $constructor("ZodReadonly", (inst, def) => {
  $ZodReadonly.init(inst, def);
  ZodType.init(inst, def);
  inst._zod.processJSONSchema = (ctx, json, params) => readonlyProcessor(inst, ctx, json, params);
  inst.unwrap = () => inst._zod.def.innerType;
});
function readonly(innerType) {
  return new ZodReadonly({
    type: "readonly",
    innerType
  });
}
__name(readonly, "readonly");
var ZodCustom = /* @__PURE__ */ $constructor("ZodCustom", (inst, def) => {
  $ZodCustom.init(inst, def);
  ZodType.init(inst, def);
  inst._zod.processJSONSchema = (ctx, json, params) => customProcessor(inst, ctx, json, params);
});
function refine(fn, _params = {}) {
  return _refine(ZodCustom, fn, _params);
}
__name(refine, "refine");
function superRefine(fn, params) {
  return _superRefine(fn, params);
}
__name(superRefine, "superRefine");

// src/domain/guardrails.ts
var windowMinutes = {
  "5min": 5,
  "15min": 15,
  "30min": 30,
  "60min": 60,
  "90min": 90,
  "120min": 120,
  "240min": 240,
  "300min": 300,
  "360min": 360,
  "400min": 400,
  "460min": 460,
  "520min": 520,
  "640min": 640,
  "700min": 700,
  "1440min": 1440,
  "48h": 2880,
  "72h": 4320
};
var windowNames = Object.keys(windowMinutes);
var longestWindowMinutes = Math.max(...Object.values(windowMinutes));

// src/config.ts
var integer2 = /* @__PURE__ */ __name((min, max) => ({
  schema: string2().regex(/^\d+$/).transform(Number).pipe(number2().min(min).max(max)),
  allowed: `an integer from ${min} to ${max}`
}), "integer");
var decimal = /* @__PURE__ */ __name((min, max) => ({
  schema: string2().regex(/^\d+(\.\d+)?$/).transform(Number).pipe(number2().min(min).max(max)),
  allowed: `a number from ${min} to ${max}`
}), "decimal");
var money = {
  schema: string2().regex(/^\d{1,6}(\.\d{1,6})?$/).transform((text2) => Math.round(Number(text2) * 1e6)),
  allowed: "an amount such as 5 or 0.50, below a million"
};
var unitMs = { ms: 1, s: 1e3, m: 6e4, h: 36e5 };
var duration2 = /* @__PURE__ */ __name((minMs = 0) => ({
  schema: string2().regex(/^\d+(\.\d+)?(ms|s|m|h)$/).transform((text2) => {
    const unit = text2.replace(/^[\d.]+/, "");
    return Number(text2.slice(0, -unit.length)) * unitMs[unit];
  }).pipe(number2().min(minMs).max(2147483647)),
  allowed: `a duration such as 250ms, 3s, 10m or 24h${minMs > 0 ? `, at least ${minMs}ms` : ""}`
}), "duration");
var oneOf = /* @__PURE__ */ __name((...values) => ({
  schema: _enum(values),
  allowed: `one of ${values.join(", ")}`
}), "oneOf");
var flag = {
  schema: _enum(["true", "false"]).transform((text2) => text2 === "true"),
  allowed: "true or false"
};
var text = { schema: string2().min(1), allowed: "some text" };
var url = {
  schema: string2().refine((value) => {
    const { protocol, search, username } = URL.parse(value) ?? { protocol: "", search: "", username: "" };
    return /^https?:$/.test(protocol) && !search && !username;
  }).transform((value) => value.replace(/(?<!\/)\/+$/, "")),
  allowed: "an http:// or https:// URL without a query and without credentials"
};
var postgresUrl = {
  schema: string2().regex(/^postgres(ql)?:\/\//),
  allowed: "a URL beginning with postgres://",
  secret: true
};
var redisUrl = {
  schema: string2().regex(/^rediss?:\/\//),
  allowed: "a URL beginning with redis:// or rediss://",
  secret: true
};
var hosts = {
  schema: string2().transform((text2) => text2.split(",").map((name) => name.trim())).pipe(array(string2().regex(/^[\w.-]+(:\d{1,5})?$/)).max(32)),
  allowed: "host:port,\u2026 (at most 32)"
};
var secret = /* @__PURE__ */ __name((minLength, maxLength = 1e3) => ({
  schema: string2().min(minLength).max(maxLength).regex(/^[\x21-\x7e]+$/),
  allowed: `${minLength} to ${maxLength} printable characters without spaces`,
  secret: true
}), "secret");
var originList = /* @__PURE__ */ __name((allowed) => ({
  schema: string2().transform((text2) => text2.split(",").map((each) => each.trim())).refine((all) => all.every((each) => URL.parse(each)?.origin === each && /^https?:/.test(each))),
  allowed
}), "originList");
var origins = originList("https://host or http://host:port, several separated by commas, without a path");
var corsOrigins = originList("origins such as https://app.example.com, separated by commas");
var required2 = /* @__PURE__ */ __name((kind, byDefault, meaning) => ({
  ...kind,
  secret: kind.secret ?? false,
  default: byDefault,
  meaning
}), "required");
var optional2 = /* @__PURE__ */ __name((kind, meaning) => ({
  ...kind,
  secret: kind.secret ?? false,
  default: void 0,
  meaning
}), "optional");
var guardrailVariable = /* @__PURE__ */ __name((name) => `GUARDRAILS_MAX_${name.toUpperCase()}_RATE`, "guardrailVariable");
var guardrailVariables = Object.fromEntries(
  windowNames.map((name) => {
    const hours = windowMinutes[name] / 60;
    const length = name.endsWith("h") ? `${hours} hours` : `${windowMinutes[name]} minutes`;
    return [guardrailVariable(name), required2(money, "0", `Most that an account may spend in ${length}; 0 = off.`)];
  })
);
var variables = {
  HOST: required2(text, "0.0.0.0", "Address to listen on."),
  PORT: required2(integer2(0, 65535), "8080", "Port to listen on; 0 takes a free one."),
  NODE_ENV: required2(
    oneOf("development", "test", "production"),
    "development",
    "In production neither the sandbox nor the embedded database ever starts."
  ),
  HOSTNAME: required2(text, "local", "This pod's name, as Kubernetes sets it."),
  LOG_LEVEL: required2(oneOf("debug", "info", "warn", "error"), "info", "The least important log line written."),
  DATA_DIR: required2(text, "./data", "Folder of the embedded database and of everything else that must survive."),
  GATEWAY_CONFIG: optional2(
    text,
    "Routing file (YAML, see `docs/routing.md`), taken anew when it changes; unset: all goes to the first provider."
  ),
  METRICS_TOKEN: optional2(secret(16), "`/metrics` then wants it as a bearer token; unset: `/metrics` is open."),
  BOOTSTRAP_API_KEY: optional2(secret(20, 200), "An administrator's key that exists after start. Not in production."),
  BOOTSTRAP_CREDIT_USD: required2(money, "100", "Credit that the account of `BOOTSTRAP_API_KEY` is given, once."),
  TRUSTED_PROXY_HOPS: required2(
    integer2(0, 10),
    "0",
    "Proxies in front: the caller's address is that many from the right of `X-Forwarded-For`; 0 = the socket's own."
  ),
  REGISTRATION: optional2(
    oneOf("open", "closed"),
    "Whether strangers may make an account; unset: they may outside production only."
  ),
  SIGNUP_CREDIT_USD: required2(money, "0", "Credit of an account that registers."),
  DATABASE_URL: optional2(postgresUrl, "PostgreSQL server; wins over `DB_HOST`."),
  DB_HOST: optional2(text, "PostgreSQL host. With this and `DATABASE_URL` unset the embedded server starts."),
  DB_PORT: required2(integer2(1, 65535), "5432", "PostgreSQL port."),
  DB_NAME: required2(text, "gpuproxy", "Database name."),
  DB_USER: required2(text, "gpuproxy", "Database user."),
  DB_PASSWORD: optional2(secret(1), "Database password."),
  DB_SSLMODE: required2(
    oneOf("disable", "prefer", "require", "verify-full"),
    "prefer",
    "TLS to the database; `verify-full` also checks its certificate and name."
  ),
  DB_MAX_CONNS: required2(
    integer2(1, 1e4),
    "100",
    "Most connections of this pod to one server; never more than the server's `max_connections` less 5."
  ),
  DB_MIN_CONNS: required2(
    integer2(0, 1e4),
    "25",
    "Connections to the primary that are opened after the start and kept, never more than `DB_MAX_CONNS`."
  ),
  DB_FLEET_MAX_CONNS: required2(
    integer2(0, 1e6),
    "0",
    "Connections of all pods together: each uses at most this divided by the live pods. 0 = off."
  ),
  DB_MAX_CONN_LIFETIME: required2(duration2(1e3), "30m", "A connection older than this is replaced."),
  DB_MAX_CONN_IDLE_TIME: required2(duration2(1e3), "10m", "A connection idle for longer than this is closed."),
  DB_READ_REPLICAS: optional2(
    hosts,
    "Read replicas, of the same name, user and password; one that is later than 10 s is not read from."
  ),
  DB_READ_ONLY: required2(
    flag,
    "false",
    "Callers may change nothing (503 `read_only`); inference and reads go on. What a start itself writes is written."
  ),
  DB_STATEMENT_TIMEOUT: required2(duration2(1), "3s", "Longest run of one statement."),
  DB_ACQUIRE_TIMEOUT: required2(duration2(1), "250ms", "Longest wait for a place in the pool."),
  DB_PGBOUNCER: required2(flag, "false", "Behind PgBouncer in transaction mode: no prepared statements."),
  API_KEY_PEPPER: optional2(
    secret(32),
    "Key of the hash under which API keys are stored; unset: one is made once and kept in the database."
  ),
  JWT_SECRET: optional2(
    secret(32),
    "Signs access tokens (HS256). Required in production; elsewhere, when unset, one is made once and kept in the database."
  ),
  JWT_SECRET_PREVIOUS: optional2(secret(32), "Access tokens that it signed are taken, too: for changing `JWT_SECRET`."),
  JWT_EXPIRATION: required2(duration2(1e3), "24h", "How long an access token is good for."),
  REFRESH_EXPIRATION: required2(duration2(1e3), "168h", "How long a session lasts after its last renewal."),
  CIRCUIT_BREAKER_FAILURE_THRESHOLD: required2(decimal(0.01, 1), "0.6", "Share of failures that opens a circuit."),
  CIRCUIT_BREAKER_MIN_REQUESTS: required2(integer2(1, 1e6), "10", "Calls in the window before a share counts."),
  CIRCUIT_BREAKER_TIMEOUT: required2(duration2(1), "30s", "How long an open circuit waits before trial calls."),
  CIRCUIT_BREAKER_MAX_REQUESTS: required2(integer2(1, 1e3), "3", "Trial calls, and successes that close the circuit."),
  RETRY_MAX_ATTEMPTS: required2(integer2(1, 10), "3", "Tries in all for one request, over all providers."),
  RETRY_INITIAL_BACKOFF: required2(duration2(), "100ms", "Upper end of the first wait; waits are random below it."),
  RETRY_MAX_BACKOFF: required2(duration2(), "10s", "Upper end of any wait."),
  RETRY_MULTIPLIER: required2(decimal(1, 10), "2", "Growth of the upper end from wait to wait."),
  RETRY_BUDGET_RATIO: required2(decimal(0, 1), "0.1", "Retries earned by each first try."),
  RETRY_AFTER_MAX_WAIT: required2(duration2(), "3s", "Longest Retry-After waited for while another target is untried."),
  UPSTREAM_MAX_CONCURRENCY: required2(integer2(1, 1e5), "10000", "Calls at once per model provider and pod."),
  INFLIGHT_BODY_MB: required2(integer2(32, 1e5), "256", "Request bodies held at once, in MB; beyond it 503."),
  REQUEST_TIMEOUT: required2(duration2(1), "600s", "Longest time for one request, tries and waits included."),
  CONNECT_TIMEOUT: required2(duration2(1), "1s", "Longest wait for a connection to a provider."),
  HEADERS_TIMEOUT: required2(duration2(1), "30s", "Longest wait for the headers of a provider's streamed answer."),
  FIRST_TOKEN_TIMEOUT: required2(
    duration2(1),
    "10s",
    "Longest wait for the first event while another target is untried."
  ),
  STREAM_IDLE_TIMEOUT: required2(duration2(1), "15s", "Longest silence within a stream while another target is untried."),
  FAULTS_ENABLED: optional2(flag, "Whether administrators may inject faults; unset: outside production only."),
  FAULTS_IN_PRODUCTION: optional2(flag, "Needed besides `FAULTS_ENABLED=true` when `NODE_ENV=production`."),
  REDIS_URL: optional2(
    redisUrl,
    "Redis server; wins over `REDIS_HOST`. With neither, nor `REDIS_NODES`, what pods would share stays in memory."
  ),
  REDIS_HOST: optional2(text, "Redis host."),
  REDIS_PORT: required2(integer2(1, 65535), "6379", "Redis port."),
  REDIS_PASSWORD: optional2(secret(1), "Redis password."),
  REDIS_MODE: required2(oneOf("single", "cluster"), "single", "Whether that is one server or a Redis Cluster."),
  REDIS_NODES: optional2(hosts, "Nodes of a Redis Cluster, some of them at least: it tells of the others."),
  REDIS_COMMAND_TIMEOUT: required2(duration2(1), "100ms", "Longest wait for an answer of Redis."),
  CACHE_LOCAL_SIZE_MB: required2(integer2(1, 1e5), "100", "Bytes of the in-process cache, in MB."),
  CACHE_LOCAL_TTL: required2(
    duration2(1),
    "5m",
    "Longest time that a value in memory is answered without asking Redis or its source again."
  ),
  CACHE_REDIS_TTL: required2(duration2(1e3), "30m", "Longest time that a value is kept in Redis."),
  CACHE_KEY_PREFIX: required2(
    text,
    "aiserve",
    "What every Redis key begins with: fleets that share a Redis need one each."
  ),
  JOURNAL_MAX_MB: required2(
    integer2(1, 1e5),
    "256",
    "Usage in `DATA_DIR` that is not in the database yet, in MB; when it is full inference answers 503."
  ),
  RATE_LIMIT_PER_MINUTE: required2(
    integer2(1, 1e8),
    "100",
    "Requests per key: an idle key may spend its minute at once, then it refills evenly."
  ),
  GUARDRAILS_ENABLED: required2(flag, "true", "Whether the limits below, and those of accounts, hold."),
  ...guardrailVariables,
  OPENAI_API_KEY: optional2(secret(1), "The gateway's own key at OpenAI."),
  OPENAI_BASE_URL: optional2(url, "OpenAI-compatible server, `/v1` included."),
  IOINTELLIGENCE_API_KEY: optional2(secret(1), "The gateway's own key at IO Intelligence."),
  IOINTELLIGENCE_BASE_URL: optional2(url, "IO Intelligence server, path included."),
  VASTAI_API_KEY: optional2(secret(1), "The gateway's own key at Vast.ai."),
  VASTAI_BASE_URL: optional2(url, "Vast.ai server, host root."),
  IONET_API_KEY: optional2(secret(1), "The gateway's own key at io.net."),
  IONET_BASE_URL: optional2(url, "io.net server, host root."),
  RENTAL_LEASE: required2(
    duration2(1e3),
    "3m",
    "How long others wait for a pod that was at a rental, or at a list of a market, and may have died. Less than 3m may have two pods at one."
  ),
  BILLING_API_KEY: optional2(secret(1), "The gateway's own key at the billing system, see `docs/billing-api.md`."),
  BILLING_BASE_URL: optional2(url, "Billing system, host root. Nobody else can know it: a key alone is not enough."),
  STRIPE_SECRET_KEY: optional2(secret(1), "The gateway's own key at Stripe. A live one is refused beside the sandbox."),
  STRIPE_WEBHOOK_SECRET: optional2(secret(1), "What Stripe signs its webhooks with (`whsec_\u2026`)."),
  STRIPE_BASE_URL: optional2(url, "Stripe, host root."),
  AUTOSCALER_POD_REQUESTS_PER_SECOND: required2(
    decimal(1e-3, 1e6),
    "1000",
    "Inference that a pod should get a second: what `autoscaler_desired_replicas` divides by."
  ),
  AUTOSCALER_POD_STREAMS: required2(
    decimal(1e-3, 1e6),
    "500",
    "Streams that a pod should relay at once, likewise."
  ),
  AUTOSCALER_BOOT_TIME: required2(
    duration2(),
    "30s",
    "From asking for a pod to its first request; so far ahead, and 30 s for the autoscaler, load is foreseen."
  ),
  AUTOSCALER_POD_USD: required2(money, "50", "What a pod costs a month."),
  AUTOSCALER_SPEND_CAP_USD: required2(
    money,
    "0",
    "Most that pods may cost a month: no more are asked for than it pays for. 0 = off."
  ),
  OTEL_EXPORTER_OTLP_ENDPOINT: optional2(
    url,
    "OpenTelemetry collector for traces, OTLP over HTTP, as in http://collector:4318; unset: nothing is traced. The other `OTEL_EXPORTER_OTLP_*` variables are read, too."
  ),
  OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: optional2(
    url,
    "The same with its whole path, as in http://collector:4318/v1/traces."
  ),
  OTEL_SDK_DISABLED: required2(flag, "false", "Nothing is traced, whatever is set."),
  OTEL_SERVICE_NAME: required2(text, "aiserve-gpuproxy", "Name in traces."),
  OTEL_TRACES_SAMPLER: required2(
    oneOf(
      "always_on",
      "always_off",
      "traceidratio",
      "parentbased_always_on",
      "parentbased_always_off",
      "parentbased_traceidratio"
    ),
    "parentbased_always_on",
    "Which traces are sampled. Failed (5xx) and slow requests are kept all the same."
  ),
  OTEL_TRACES_SAMPLER_ARG: required2(decimal(0, 1), "1", "Share of the traces, for the samplers by ratio."),
  TRACE_SLOW: required2(duration2(1), "30s", "A request that took so long is kept, sampled or not."),
  DRAIN_DELAY: required2(duration2(), "5s", "After SIGTERM: how long new requests are still taken."),
  DRAIN_TIMEOUT: required2(duration2(), "600s", "After that: how long running requests may take to end.")
};
var edgeVariables = {
  ORIGINS: required2(origins, "http://localhost:8080", "The gateways of the regions, in order of preference."),
  JWT_SECRET: optional2(secret(32), "The origins' own: access tokens are then checked here. Set it as a secret."),
  JWT_SECRET_PREVIOUS: optional2(secret(32), "The one before, while tokens that it signed are about."),
  REVOKED_BEFORE: required2(
    integer2(0, 4102444800),
    "0",
    "Access tokens that were issued before are refused: seconds since 1970."
  ),
  CORS_ORIGINS: optional2(corsOrigins, "Pages that may call from a browser; unset: none."),
  PURGE_TOKEN: optional2(secret(20, 200), "What `POST /edge/purge` wants as a bearer token; unset: nothing is purged."),
  EDGE_RATE_LIMIT_PER_MINUTE: required2(
    integer2(1, 1e7),
    "6000",
    "Requests of one address, counted in each isolate by itself."
  )
};
var ConfigError = class extends Error {
  static {
    __name(this, "ConfigError");
  }
  name = "ConfigError";
};
var loadEdgeConfig = /* @__PURE__ */ __name((env) => valuesOf(edgeVariables, (name) => typeof env[name] === "string" && env[name] || void 0), "loadEdgeConfig");
function valuesOf(table, given) {
  const config2 = {};
  for (const [name, variable] of Object.entries(table)) {
    const value = given(name) ?? variable.default;
    if (value === void 0) continue;
    const result = variable.schema.safeParse(value);
    if (!result.success) {
      const shown = variable.secret || value.includes("@") ? `(${value.length} characters, not shown)` : value;
      throw new ConfigError(`${name}=${shown} is not allowed: it must be ${variable.allowed}`);
    }
    config2[name] = result.data;
  }
  return config2;
}
__name(valuesOf, "valuesOf");

// src/cache/http/directives.ts
var token = /^[!#$%&'*+\-.^_`|~\w]+$/;
var none = /* @__PURE__ */ new Map();
var maxSeconds = 2 ** 31;
function parseDirectives(value) {
  if (!value) return none;
  const found = /* @__PURE__ */ new Map();
  for (const part of splitList(value)) {
    const equals = part.indexOf("=");
    const name = (equals < 0 ? part : part.slice(0, equals)).trim().toLowerCase();
    if (!token.test(name) || found.has(name)) continue;
    found.set(name, equals < 0 ? true : unquote(part.slice(equals + 1).trim()));
  }
  return found;
}
__name(parseDirectives, "parseDirectives");
function seconds(directives, name) {
  const value = directives.get(name);
  if (value === void 0) return void 0;
  return typeof value === "string" && /^\d+$/.test(value) ? Math.min(Number(value), maxSeconds) : 0;
}
__name(seconds, "seconds");
function fieldsOf(directives, name) {
  const value = directives.get(name);
  if (typeof value !== "string") return [];
  return value.split(",").map((field) => field.trim().toLowerCase()).filter((field) => field !== "");
}
__name(fieldsOf, "fieldsOf");
var isWhole = /* @__PURE__ */ __name((directives, name) => directives.has(name) && fieldsOf(directives, name).length === 0, "isWhole");
function directivesOf(headers) {
  const targeted = headers.get("cdn-cache-control");
  if (targeted !== null && isDictionary(targeted)) return { directives: parseDirectives(targeted), isTargeted: true };
  return { directives: parseDirectives(headers.get("cache-control")), isTargeted: false };
}
__name(directivesOf, "directivesOf");
function isDictionary(value) {
  const parts = splitList(value);
  return parts.length > 0 && parts.every((part) => /^[a-z*][a-z0-9_\-.*]*(=("[^"]*"|\??[\w.\-:/+*]+))?(;.*)?$/.test(part.trim()));
}
__name(isDictionary, "isDictionary");
function splitList(value) {
  const parts = [];
  let quoted = false;
  let start2 = 0;
  for (let i = 0; i < value.length; i++) {
    const sign = value[i];
    if (quoted && sign === "\\") i++;
    else if (sign === '"') quoted = !quoted;
    else if (sign === "," && !quoted) {
      parts.push(value.slice(start2, i));
      start2 = i + 1;
    }
  }
  parts.push(value.slice(start2));
  return parts.map((part) => part.trim()).filter((part) => part !== "");
}
__name(splitList, "splitList");
var unquote = /* @__PURE__ */ __name((value) => value.length >= 2 && value.startsWith('"') && value.endsWith('"') ? value.slice(1, -1).replace(/\\(.)/g, "$1") : value, "unquote");

// src/cache/http/stored.ts
var understood = /* @__PURE__ */ new Set([200, 203, 204, 300, 301, 302, 303, 307, 308, 404, 405, 410, 414, 421, 451, 501]);
var heuristic = /* @__PURE__ */ new Set([200, 203, 204, 300, 301, 308, 404, 405, 410, 414, 501]);
var heuristicShare = 0.1;
var maxHeuristicMs = 24 * 36e5;
var ofTheConnection = [
  "connection",
  "keep-alive",
  "proxy-connection",
  "proxy-authenticate",
  "proxy-authentication-info",
  "proxy-authorization",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade"
];
var personal = /* @__PURE__ */ new Set(["*", "authorization", "cookie", "x-api-key"]);
function isStorable(request, response) {
  if (request.method !== "GET" || !understood.has(response.status)) return false;
  const { headers } = response;
  const { directives, isTargeted } = directivesOf(headers);
  const isNoStore = directives.has("no-store") && !directives.has("must-understand");
  if (isNoStore || parseDirectives(request.headers.get("cache-control")).has("no-store")) return false;
  if (isWhole(directives, "private") || headers.has("set-cookie") || headers.has("content-range")) return false;
  if (varyNames(headers).some((name) => personal.has(name))) return false;
  const hasCredential = ["authorization", "x-api-key", "cookie"].some((name) => request.headers.has(name));
  const isForAll = ["public", "s-maxage", "must-revalidate"].some((name) => directives.has(name));
  if (hasCredential && !isForAll) return false;
  return directives.has("public") || directives.has("max-age") || directives.has("s-maxage") || !isTargeted && headers.has("expires") || heuristic.has(response.status);
}
__name(isStorable, "isStorable");
function toStored(request, response, body, { requestedAt, receivedAt }) {
  return {
    status: response.status,
    headers: storedHeaders(response.headers, receivedAt),
    body,
    requestedAt,
    receivedAt,
    vary: varyNames(response.headers).map((name) => [name, normal(request.headers.get(name))]),
    tags: tagsOf(response.headers)
  };
}
__name(toStored, "toStored");
function storedHeaders(headers, receivedAt) {
  const { directives } = directivesOf(headers);
  const dropped = /* @__PURE__ */ new Set([
    ...ofTheConnection,
    ...namesIn(headers.get("connection")),
    ...fieldsOf(directives, "private"),
    ...fieldsOf(directives, "no-cache")
  ]);
  const kept2 = [...headers].filter(([name]) => !dropped.has(name));
  if (!headers.has("date")) kept2.push(["date", new Date(receivedAt).toUTCString()]);
  return kept2;
}
__name(storedHeaders, "storedHeaders");
var namesIn = /* @__PURE__ */ __name((value) => (value ?? "").split(",").map((name) => name.trim().toLowerCase()), "namesIn");
var varyNames = /* @__PURE__ */ __name((headers) => namesIn(headers.get("vary")).filter((name) => name !== ""), "varyNames");
var tagsOf = /* @__PURE__ */ __name((headers) => namesIn(headers.get("cache-tag")).filter((tag) => tag !== ""), "tagsOf");
var normal = /* @__PURE__ */ __name((value) => value?.replace(/\s*,\s*/g, ",").replace(/\s+/g, " ").trim() ?? null, "normal");
var matches = /* @__PURE__ */ __name(({ vary }, request) => vary.every(([name, value]) => normal(request.headers.get(name)) === value), "matches");
function freshened(stored2, update, { requestedAt, receivedAt }) {
  const headers = new Headers(stored2.headers);
  headers.delete("age");
  headers.delete("date");
  for (const [name, value] of storedHeaders(update.headers, receivedAt)) {
    if (!["content-encoding", "content-type", "content-range", "content-length"].includes(name))
      headers.set(name, value);
  }
  return { ...stored2, headers: [...headers], requestedAt, receivedAt, tags: tagsOf(headers) };
}
__name(freshened, "freshened");
function ageMs(stored2, now) {
  const headers = new Headers(stored2.headers);
  const date2 = dateOf(headers.get("date")) ?? stored2.receivedAt;
  const told = /^\s*(\d+)\s*(?:,|$)/.exec(headers.get("age") ?? "");
  const apparent = Math.max(0, stored2.receivedAt - date2);
  const corrected = Number(told?.[1] ?? 0) * 1e3 + (stored2.receivedAt - stored2.requestedAt);
  return Math.max(apparent, corrected) + Math.max(0, now - stored2.receivedAt);
}
__name(ageMs, "ageMs");
function lifetimeMs({ status, headers: list, receivedAt }) {
  const headers = new Headers(list);
  const { directives, isTargeted } = directivesOf(headers);
  const told = seconds(directives, "s-maxage") ?? seconds(directives, "max-age");
  if (told !== void 0) return told * 1e3;
  const date2 = dateOf(headers.get("date")) ?? receivedAt;
  const expires = headers.get("expires");
  if (expires !== null && !isTargeted) return Math.max(0, (dateOf(expires) ?? 0) - date2);
  const modified = dateOf(headers.get("last-modified"));
  if (modified === void 0 || !(heuristic.has(status) || directives.has("public"))) return 0;
  return Math.min(Math.max(0, date2 - modified) * heuristicShare, maxHeuristicMs);
}
__name(lifetimeMs, "lifetimeMs");
function dateOf(value) {
  if (value === null || !/^(\w{3}, \d{2} \w{3} \d{4}|\w{6,9}, \d{2}-\w{3}-\d{2}|\w{3} \w{3} [\d ]\d) ?.*\d{2}:\d{2}:\d{2}/.test(value)) {
    return void 0;
  }
  const ms = Date.parse(/GMT$/.test(value) ? value : `${value} GMT`);
  return Number.isNaN(ms) ? void 0 : ms;
}
__name(dateOf, "dateOf");
function judge(stored2, request, now, { maxDisconnectedMs }) {
  const { directives } = directivesOf(new Headers(stored2.headers));
  const wanted = requestDirectives(request);
  const age = ageMs(stored2, now);
  const staleMs = age - lifetimeMs(stored2);
  const mustAsk = isWhole(directives, "no-cache");
  const neverStale = mustAsk || ["must-revalidate", "proxy-revalidate", "s-maxage"].some((name) => directives.has(name));
  const within = /* @__PURE__ */ __name((name, from) => staleMs < (seconds(from, name) ?? 0) * 1e3, "within");
  const maxAge = seconds(wanted, "max-age");
  const minFresh = seconds(wanted, "min-fresh");
  const isTooOld = maxAge !== void 0 && age > maxAge * 1e3;
  const isTooShort = minFresh !== void 0 && -staleMs < minFresh * 1e3;
  const asksOrigin = mustAsk || wanted.has("no-cache") || isTooOld || isTooShort;
  const maxStale = wanted.get("max-stale");
  const takesStale = maxStale === true || maxStale !== void 0 && within("max-stale", wanted);
  return {
    use: asksOrigin ? "no" : staleMs < 0 ? "fresh" : takesStale && !neverStale ? "stale" : "no",
    whileRevalidating: !asksOrigin && !neverStale && staleMs >= 0 && within("stale-while-revalidate", directives),
    ifError: !neverStale && (within("stale-if-error", directives) || within("stale-if-error", wanted)),
    ifUnreachable: !neverStale && staleMs < maxDisconnectedMs,
    neverStale
  };
}
__name(judge, "judge");
function requestDirectives(request) {
  const value = request.headers.get("cache-control");
  if (value !== null) return parseDirectives(value);
  return parseDirectives(/(^|,)\s*no-cache\s*(,|$)/i.test(request.headers.get("pragma") ?? "") ? "no-cache" : null);
}
__name(requestDirectives, "requestDirectives");

// src/cache/http/conditions.ts
var ofNotModified = /* @__PURE__ */ new Set([
  "cache-control",
  "cdn-cache-control",
  "content-location",
  "date",
  "etag",
  "expires",
  "last-modified",
  "vary"
]);
function isNotModified(stored2, request) {
  if (stored2.status !== 200) return false;
  const headers = new Headers(stored2.headers);
  const tags = request.headers.get("if-none-match");
  if (tags !== null) return tags.trim() === "*" || hasTag(tags, headers.get("etag"));
  const since = dateOf(request.headers.get("if-modified-since"));
  const modified = dateOf(headers.get("last-modified")) ?? dateOf(headers.get("date"));
  return since !== void 0 && modified !== void 0 && modified <= since;
}
__name(isNotModified, "isNotModified");
function hasTag(list, tag) {
  if (tag === null) return false;
  return [...list.matchAll(/(?:W\/)?"[^"]*"/g)].some(([each]) => opaque(each) === opaque(tag));
}
__name(hasTag, "hasTag");
var opaque = /* @__PURE__ */ __name((tag) => tag.trim().replace(/^W\//, ""), "opaque");
var isWeak = /* @__PURE__ */ __name((tag) => tag.trim().startsWith("W/"), "isWeak");
function notModified(headers) {
  const kept2 = new Headers();
  for (const [name, value] of headers) if (ofNotModified.has(name) || name === "age") kept2.set(name, value);
  return kept2;
}
__name(notModified, "notModified");
function partOf(stored2, request) {
  if (request.method !== "GET" || stored2.status !== 200) return void 0;
  const headers = new Headers(stored2.headers);
  const condition = request.headers.get("if-range");
  if (condition !== null && !isSame(condition, headers)) return void 0;
  const found = /^bytes=\s*(?:(\d+)-(\d*)|-(\d+))\s*$/i.exec(request.headers.get("range") ?? "");
  if (!found) return void 0;
  const { length } = stored2.body;
  const [, first, last, suffix] = found;
  if (suffix !== void 0) {
    const count = Math.min(Number(suffix), length);
    return count === 0 ? "unsatisfiable" : { from: length - count, to: length - 1 };
  }
  const from = Number(first);
  const to = last ? Math.min(Number(last), length - 1) : length - 1;
  if (last && Number(last) < from) return void 0;
  return from >= length ? "unsatisfiable" : { from, to };
}
__name(partOf, "partOf");
function isSame(condition, headers) {
  const tag = headers.get("etag");
  if (/^(W\/)?"/.test(condition.trim())) return tag !== null && !isWeak(tag) && condition.trim() === tag.trim();
  const modified = headers.get("last-modified");
  return modified !== null && dateOf(condition) !== void 0 && dateOf(condition) === dateOf(modified);
}
__name(isSame, "isSame");

// src/cache/http/http-cache.ts
var safe = /* @__PURE__ */ new Set(["GET", "HEAD", "OPTIONS", "TRACE"]);
var failures = /* @__PURE__ */ new Set([500, 502, 503, 504]);
var conditional = ["if-none-match", "if-modified-since", "if-match", "if-unmodified-since", "if-range"];
var statusesWithoutBody = /* @__PURE__ */ new Set([204, 304]);
function createHttpCache(options) {
  const { store, clock, refuse } = options;
  const { wallNow } = clock;
  const {
    maxBodyBytes: maxBodyBytes2 = 2 * 1024 * 1024,
    maxVariants = 8,
    maxDisconnectedMs = 36e5,
    maxWaiting = 1e3,
    maxWaitMs = 1e4
  } = options;
  const flights = /* @__PURE__ */ new Map();
  async function handle(request, next, { group, ask: mustAsk = false, background }) {
    const url2 = urlOf(request);
    if (!safe.has(request.method)) {
      const response = await next(request);
      if (response.status < 400) await invalidate(url2, response);
      return { response, use: "bypass" };
    }
    if (!isAnswerable(request)) return { response: await next(request), use: "bypass" };
    return answer({ key: keyOf(url2, group), request, next, background }, mustAsk);
  }
  __name(handle, "handle");
  async function answer(inquiry, mustAsk) {
    const { request } = inquiry;
    const stored2 = await find(inquiry);
    const wanted = requestDirectives(request);
    if (mustAsk) return stored2 ? revalidate(inquiry, stored2) : wrap(fetchAndKeep(inquiry));
    if (stored2) {
      const judged = judge(stored2, request, wallNow(), { maxDisconnectedMs });
      if (judged.use !== "no") return { response: send(stored2, request), use: judged.use === "fresh" ? "hit" : "stale" };
      if (judged.whileRevalidating) {
        inquiry.background(renew(inquiry));
        return { response: send(stored2, request), use: "stale" };
      }
      if (wanted.has("only-if-cached")) return { response: refuse(request, "only_if_cached"), use: "miss" };
      return revalidate(inquiry, stored2);
    }
    if (wanted.has("only-if-cached")) return { response: refuse(request, "only_if_cached"), use: "miss" };
    return ask(inquiry);
  }
  __name(answer, "answer");
  async function ask(inquiry, isFirst = true) {
    const { key, request } = inquiry;
    const flight = flights.get(key);
    if (flight && flight.waiting < maxWaiting && isShareable(request)) {
      flight.waiting++;
      const landing = await atMost(clock, maxWaitMs, flight.landing, request.signal);
      const stored2 = landing === "stored" ? await find(inquiry) : void 0;
      if (stored2 && judge(stored2, request, wallNow(), { maxDisconnectedMs }).use === "fresh") {
        return { response: send(stored2, request), use: "hit" };
      }
      if (landing === "lost" && isFirst) return ask(inquiry, false);
      return wrap(fetchAndKeep(inquiry));
    }
    if (flight || !isShareable(request)) return wrap(fetchAndKeep(inquiry));
    const own2 = takeOff(key);
    try {
      const { response, kept: kept2 } = await fetchAndKeep(inquiry);
      void kept2.then(own2.land);
      return { response, use: "miss" };
    } catch (error2) {
      own2.land("lost");
      throw error2;
    }
  }
  __name(ask, "ask");
  function takeOff(key) {
    const { promise, resolve } = Promise.withResolvers();
    const land = /* @__PURE__ */ __name((landing) => {
      flights.delete(key);
      resolve(landing);
    }, "land");
    const flight = { waiting: 0, landing: promise, land };
    flights.set(key, flight);
    return flight;
  }
  __name(takeOff, "takeOff");
  async function fetchAndKeep(inquiry) {
    const { request, next } = inquiry;
    const requestedAt = wallNow();
    const response = await next(request);
    const times = { requestedAt, receivedAt: wallNow() };
    if (request.method === "HEAD") {
      await freshenByHead(inquiry, response, times);
      return { response, kept: Promise.resolve("personal") };
    }
    return keep(inquiry, response, times);
  }
  __name(fetchAndKeep, "fetchAndKeep");
  function keep(inquiry, response, times) {
    const { request, background } = inquiry;
    if (!isStorable(request, response)) return { response, kept: Promise.resolve("personal") };
    const { promise: kept2, resolve } = Promise.withResolvers();
    const settle2 = /* @__PURE__ */ __name(async (body2) => {
      if (body2 === void 0 || !isComplete(response, body2)) return resolve("lost");
      const fresh = toStored(request, response, body2, times);
      await put(inquiry, fresh).then(
        () => resolve("stored"),
        () => resolve("lost")
      );
    }, "settle");
    if (!response.body) {
      background(settle2(new Uint8Array()));
      return { response: withDate(response, times), kept: kept2 };
    }
    background(kept2.then(() => {
    }));
    const body = collecting(response.body, maxBodyBytes2, (bytes) => void settle2(bytes));
    return { response: withDate(new Response(body, response), times), kept: kept2 };
  }
  __name(keep, "keep");
  async function revalidate(inquiry, stored2) {
    const { request, next } = inquiry;
    const requestedAt = wallNow();
    const condition = conditionalOn(stored2, request);
    let response;
    try {
      response = await next(condition ?? request);
    } catch (error2) {
      if (request.signal.aborted) throw error2;
      const judged = judge(stored2, request, wallNow(), { maxDisconnectedMs });
      if (judged.ifError || judged.ifUnreachable) return { response: send(stored2, request), use: "stale" };
      if (judged.neverStale) return { response: refuse(request, "must_revalidate"), use: "miss" };
      throw error2;
    }
    const times = { requestedAt, receivedAt: wallNow() };
    if (condition && response.status === 304) {
      await discard(response);
      if (isOf(response, stored2)) {
        const renewed = freshened(stored2, response, times);
        await put(inquiry, renewed);
        return { response: send(renewed, request), use: "revalidated" };
      }
      return wrap(fetchAndKeep(inquiry));
    }
    if (failures.has(response.status) && judge(stored2, request, wallNow(), { maxDisconnectedMs }).ifError) {
      await discard(response);
      return { response: send(stored2, request), use: "stale" };
    }
    if (request.method === "HEAD") {
      await freshenByHead(inquiry, response, times);
      return { response, use: "miss" };
    }
    const { response: handed } = keep(inquiry, response, times);
    return { response: handed, use: "miss" };
  }
  __name(revalidate, "revalidate");
  async function renew(inquiry) {
    const { key, request } = inquiry;
    if (flights.has(key)) return;
    const own2 = takeOff(key);
    try {
      const stored2 = await find(inquiry);
      const plain = { ...inquiry, request: new Request(request.url, { headers: withoutConditions(request.headers) }) };
      const { response } = stored2 ? await revalidate(plain, stored2) : await fetchAndKeep(plain);
      await readThrough(response);
    } catch {
    } finally {
      own2.land("stored");
    }
  }
  __name(renew, "renew");
  async function find({ key, request }) {
    const fitting = (await store.get(key)).filter((each) => matches(each, request));
    const [newest] = fitting.sort((a, b) => dateOfStored(b) - dateOfStored(a));
    if (!newest || newest.tags.length === 0) return newest;
    return await store.purgedAt(newest.tags) >= newest.receivedAt ? void 0 : newest;
  }
  __name(find, "find");
  async function put({ key, request }, fresh) {
    const others = (await store.get(key)).filter((each) => !matches(each, request));
    await store.put(key, [fresh, ...others].slice(0, maxVariants));
  }
  __name(put, "put");
  async function freshenByHead(inquiry, response, times) {
    if (response.status !== 200) return;
    const stored2 = await find(inquiry);
    if (!stored2) return;
    const length = response.headers.get("content-length");
    const isSame2 = isOf(response, stored2) && (length === null || Number(length) === stored2.body.length);
    if (isSame2) await put(inquiry, freshened(stored2, response, times));
    else await store.delete(inquiry.key);
  }
  __name(freshenByHead, "freshenByHead");
  async function invalidate(url2, response) {
    const named = ["location", "content-location"].map((name) => response.headers.get(name));
    for (const each of /* @__PURE__ */ new Set([url2, ...named.map((value) => sameOrigin(value, url2))])) {
      if (each === void 0) continue;
      for (const group of [void 0, "members"]) await store.delete(keyOf(each, group));
    }
  }
  __name(invalidate, "invalidate");
  function send(stored2, request) {
    const headers = new Headers(stored2.headers);
    headers.delete("cache-tag");
    headers.set("age", String(Math.floor(ageMs(stored2, wallNow()) / 1e3)));
    if (isNotModified(stored2, request)) return new Response(null, { status: 304, headers: notModified(headers) });
    const part = partOf(stored2, request);
    if (part === "unsatisfiable") {
      headers.set("content-range", `bytes */${stored2.body.length}`);
      headers.delete("content-length");
      return new Response(null, { status: 416, headers });
    }
    if (part) {
      headers.set("content-range", `bytes ${part.from}-${part.to}/${stored2.body.length}`);
      headers.set("content-length", String(part.to - part.from + 1));
      return new Response(bytesOf(stored2.body.subarray(part.from, part.to + 1)), { status: 206, headers });
    }
    const hasBody = request.method !== "HEAD" && !statusesWithoutBody.has(stored2.status);
    if (hasBody) headers.set("content-length", String(stored2.body.length));
    return new Response(hasBody ? bytesOf(stored2.body) : null, { status: stored2.status, headers });
  }
  __name(send, "send");
  return { handle, purge: /* @__PURE__ */ __name((tag) => store.purge(tag.toLowerCase(), wallNow()), "purge") };
}
__name(createHttpCache, "createHttpCache");
var wrap = /* @__PURE__ */ __name(async (asked) => ({
  response: (await asked).response,
  use: "miss"
}), "wrap");
var keyOf = /* @__PURE__ */ __name((url2, group) => group === void 0 ? url2 : `${group}:${url2}`, "keyOf");
function urlOf(request) {
  const url2 = new URL(request.url);
  url2.hash = "";
  return url2.href;
}
__name(urlOf, "urlOf");
var isAnswerable = /* @__PURE__ */ __name((request) => (request.method === "GET" || request.method === "HEAD") && request.body === null && !request.headers.has("upgrade") && !request.headers.has("if-match") && !request.headers.has("if-unmodified-since") && !requestDirectives(request).has("no-store"), "isAnswerable");
var isShareable = /* @__PURE__ */ __name((request) => request.method === "GET" && !request.headers.has("range") && !conditional.some((name) => request.headers.has(name)) && !requestDirectives(request).has("no-cache"), "isShareable");
var dateOfStored = /* @__PURE__ */ __name(({ headers, receivedAt }) => dateOf(new Headers(headers).get("date")) ?? receivedAt, "dateOfStored");
function conditionalOn(stored2, request) {
  const known = new Headers(stored2.headers);
  const [tag, modified] = [known.get("etag"), known.get("last-modified")];
  if (tag === null && modified === null) return void 0;
  const headers = withoutConditions(request.headers);
  headers.delete("range");
  if (tag !== null) headers.set("if-none-match", tag);
  if (modified !== null) headers.set("if-modified-since", modified);
  return new Request(request.url, { method: request.method, headers, signal: request.signal });
}
__name(conditionalOn, "conditionalOn");
function withoutConditions(from) {
  const headers = new Headers(from);
  for (const name of conditional) headers.delete(name);
  headers.delete("range");
  return headers;
}
__name(withoutConditions, "withoutConditions");
function isOf(response, stored2) {
  const known = new Headers(stored2.headers);
  const [tag, own2] = [response.headers.get("etag"), known.get("etag")];
  if (tag !== null && own2 !== null)
    return isWeak(tag) || isWeak(own2) ? opaque(tag) === opaque(own2) : tag.trim() === own2.trim();
  if (tag !== null) return false;
  const modified = response.headers.get("last-modified");
  return modified === null || dateOf(modified) === dateOf(known.get("last-modified"));
}
__name(isOf, "isOf");
function isComplete({ headers }, body) {
  const length = headers.get("content-length");
  return length === null || headers.has("content-encoding") || Number(length) === body.length;
}
__name(isComplete, "isComplete");
function sameOrigin(value, base) {
  if (value === null || !URL.canParse(value, base)) return void 0;
  const url2 = new URL(value, base);
  url2.hash = "";
  return url2.origin === new URL(base).origin ? url2.href : void 0;
}
__name(sameOrigin, "sameOrigin");
function withDate(response, { receivedAt }) {
  const headers = new Headers(response.headers);
  if (!headers.has("date")) headers.set("date", new Date(receivedAt).toUTCString());
  if (tagsOf(headers).length > 0) headers.delete("cache-tag");
  return new Response(response.body, { status: response.status, statusText: response.statusText, headers });
}
__name(withDate, "withDate");
function collecting(body, maxBytes, done) {
  const reader = body.getReader();
  let chunks = [];
  let length = 0;
  const read = /* @__PURE__ */ __name(async () => {
    try {
      const { value } = await reader.read();
      length += value?.length ?? 0;
      if (length > maxBytes) chunks = void 0;
      if (value) chunks?.push(value);
      else done(chunks && joined(chunks, length));
      return value;
    } catch (error2) {
      done(void 0);
      throw error2;
    }
  }, "read");
  const source = {
    async pull(controller) {
      const chunk = await read();
      if (chunk) controller.enqueue(chunk);
      else controller.close();
    },
    async cancel(reason) {
      while (chunks && await read()) ;
      if (chunks) return;
      done(void 0);
      await reader.cancel(reason);
    }
  };
  return new ReadableStream(source, new ByteLengthQueuingStrategy({ highWaterMark: maxBytes }));
}
__name(collecting, "collecting");
async function atMost(clock, ms, work, signal) {
  signal.throwIfAborted();
  const { promise, resolve, reject } = Promise.withResolvers();
  const leave = /* @__PURE__ */ __name(() => reject(signal.reason), "leave");
  const cancel = clock.setTimer(ms, () => resolve("lost"));
  signal.addEventListener("abort", leave, { once: true });
  try {
    return await Promise.race([work, promise]);
  } finally {
    cancel();
    signal.removeEventListener("abort", leave);
  }
}
__name(atMost, "atMost");
function joined(chunks, length) {
  const bytes = new Uint8Array(length);
  let at = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, at);
    at += chunk.length;
  }
  return bytes;
}
__name(joined, "joined");
var bytesOf = /* @__PURE__ */ __name((bytes) => bytes, "bytesOf");
var discard = /* @__PURE__ */ __name(async (response) => response.body?.cancel(), "discard");
async function readThrough({ body }) {
  const reader = body?.getReader();
  while (reader && !(await reader.read()).done) ;
}
__name(readThrough, "readThrough");

// src/edge/cors.ts
var methods = "GET, HEAD, POST, PUT, PATCH, DELETE";
var allowedHeaders = "authorization, content-type, x-api-key, idempotency-key, x-request-timeout-ms, cache-control, traceparent, tracestate";
var exposed = "x-request-id, x-gpuproxy-provider, x-gpuproxy-model, x-gpuproxy-attempts, x-gpuproxy-cost-usd, x-cache, x-edge-cache, age, retry-after, ratelimit, ratelimit-policy, idempotent-replayed, location";
var maxAgeSeconds = 600;
function createCors(origins2) {
  const known = new Set(origins2);
  const isAllowed = /* @__PURE__ */ __name((request) => known.has(request.headers.get("origin") ?? ""), "isAllowed");
  return {
    preflight(request) {
      const isAsking = request.method === "OPTIONS" && request.headers.has("access-control-request-method");
      if (!isAsking) return void 0;
      const headers = new Headers({ vary: "origin" });
      if (isAllowed(request)) {
        headers.set("access-control-allow-methods", methods);
        headers.set("access-control-allow-headers", allowedHeaders);
        headers.set("access-control-max-age", String(maxAgeSeconds));
      }
      return new Response(null, { status: 204, headers });
    },
    allow(request, headers) {
      if (known.size === 0) return;
      headers.append("vary", "origin");
      if (!isAllowed(request)) return;
      headers.set("access-control-allow-origin", request.headers.get("origin") ?? "");
      headers.set("access-control-expose-headers", exposed);
    }
  };
}
__name(createCors, "createCors");

// src/errors.ts
var bad = "invalid_request_error";
var server = "server_error";
var errorTable = {
  invalid_json: { status: 400, type: bad, message: "The body is not valid JSON. Send one JSON object." },
  invalid_body: { status: 400, type: bad, message: "The body does not have the expected shape." },
  invalid_query: { status: 400, type: bad, message: "A query parameter has a value that is not allowed." },
  invalid_header: { status: 400, type: bad, message: "A request header has a value that is not allowed." },
  body_too_deep: { status: 400, type: bad, message: "The JSON body is nested too deeply. Nest at most 64 levels." },
  body_too_many_keys: { status: 400, type: bad, message: "The JSON body has too many keys. Send at most 50,000." },
  stored_state_unsupported: {
    status: 400,
    type: bad,
    message: "This field refers to state kept at the provider, which this gateway does not offer. Leave it out."
  },
  idempotency_key_required: {
    status: 400,
    type: bad,
    message: "Send an Idempotency-Key: 1 to 255 printable ASCII characters, new for each thing that you want done."
  },
  invalid_signature: {
    status: 400,
    type: bad,
    message: "The signature is missing, too old, or not that of this body."
  },
  missing_credential: {
    status: 401,
    type: "authentication_error",
    message: 'No API key. Send it as "Authorization: Bearer <key>" or as "X-API-Key: <key>".'
  },
  invalid_credential: {
    status: 401,
    type: "authentication_error",
    message: "This API key is not valid: unknown, expired or revoked. Check it, or make a new one."
  },
  payment_declined: {
    status: 402,
    type: bad,
    message: "The payment was declined. Use another payment method and a new Idempotency-Key."
  },
  insufficient_credit: {
    status: 402,
    type: bad,
    message: "The account has too little credit for this. Add credit, or ask for less."
  },
  budget_exceeded: {
    status: 402,
    type: bad,
    message: "The key's budget does not allow this. Use another key, or have its budget raised."
  },
  guardrail_exceeded: {
    status: 402,
    type: bad,
    message: "This would pass a guard rail of the account. Wait until it frees, or ask for less."
  },
  sign_in_failed: {
    status: 401,
    type: "authentication_error",
    message: "The email or the password is wrong. Check both."
  },
  invalid_refresh_token: {
    status: 401,
    type: "authentication_error",
    message: "This refresh token is not valid: unknown, expired, or used before. Sign in again."
  },
  password_wrong: {
    status: 403,
    type: "permission_error",
    message: "That is not the password of this account. Check it."
  },
  registration_closed: {
    status: 403,
    type: "permission_error",
    message: "Nobody can register here. Ask the operator for an account."
  },
  model_not_allowed: {
    status: 403,
    type: "permission_error",
    message: "This API key may not use that model. Use another model, or a key that may."
  },
  scope_missing: {
    status: 403,
    type: "permission_error",
    message: "This API key may not be used for that. Use a key with the scope that the operation needs."
  },
  administrator_only: {
    status: 403,
    type: "permission_error",
    message: "Only administrators may do that. Use an API key of an administrator."
  },
  faults_disabled: {
    status: 403,
    type: "permission_error",
    message: "Faults may not be set here. The operator has to set FAULTS_ENABLED=true, in production FAULTS_IN_PRODUCTION=true too."
  },
  unknown_breaker: {
    status: 404,
    type: bad,
    message: "There is no circuit breaker of that name. GET /api/v1/admin/breakers lists what there is."
  },
  receipt_not_found: {
    status: 404,
    type: bad,
    message: "There is no receipt of that request. One is there about a second after its answer, and for thirty days."
  },
  payment_not_found: { status: 404, type: bad, message: "This account has no such payment. Check the id." },
  offer_not_found: {
    status: 404,
    type: bad,
    message: "There is no such offer, or it has gone. Search again: GET /api/v1/gpu/offers."
  },
  instance_not_found: { status: 404, type: bad, message: "This account has no such instance, or it is gone." },
  reservation_not_found: { status: 404, type: bad, message: "This account has no such reservation." },
  deployment_not_found: { status: 404, type: bad, message: "This account has no such deployment, or it is gone." },
  preference_not_found: { status: 404, type: bad, message: "This account has saved no preference of that name." },
  unknown_route: { status: 404, type: bad, message: "There is no such route. Check the path." },
  model_not_found: { status: 404, type: bad, message: "There is no such model. GET /v1/models lists what there is." },
  model_not_priced: {
    status: 404,
    type: bad,
    message: "This model has no price for this kind of work, so it is not sold. GET /v1/models lists what there is."
  },
  unsupported_endpoint: {
    status: 404,
    type: bad,
    message: "This endpoint keeps state at the provider or is not offered by this gateway."
  },
  unknown_api_key: { status: 404, type: bad, message: "This account has no such API key, or it was revoked." },
  unknown_account: { status: 404, type: bad, message: "There is no such account, or it was closed." },
  method_not_allowed: {
    status: 405,
    type: bad,
    message: "This route does not take that method. See the Allow header."
  },
  body_timeout: { status: 408, type: bad, message: "The request body did not arrive in time. Send it again." },
  idempotency_in_flight: {
    status: 409,
    type: bad,
    message: "A request with this Idempotency-Key is being executed. Send it again after the time in Retry-After."
  },
  idempotency_answer_too_large: {
    status: 409,
    type: bad,
    message: "A request with this Idempotency-Key was executed, and its answer is too large to be given again. Use a new key to ask anew."
  },
  idempotency_outcome_lost: {
    status: 409,
    type: bad,
    message: "A request with this Idempotency-Key was executed, and its answer was lost. Use a new key to have it done once more."
  },
  offer_gone: {
    status: 409,
    type: bad,
    message: "That offer has gone, and no other one fits within the price. Nothing was rented and nothing is charged."
  },
  not_enough_offers: {
    status: 409,
    type: bad,
    message: "There are not enough offers that fit. Nothing was rented and nothing is charged."
  },
  bid_too_low: {
    status: 409,
    type: bad,
    message: "That offer takes no bid so low. Nothing was rented and nothing is charged."
  },
  market_refused: {
    status: 409,
    type: bad,
    message: "The market does not take this order. Nothing was rented and nothing is charged."
  },
  instance_not_running: {
    status: 409,
    type: bad,
    message: "The instance is not running, or does not say yet where it is reached. Look at its status."
  },
  instance_state: { status: 409, type: bad, message: "The instance is not in a state in which that can be done." },
  unsupported_by_market: { status: 409, type: bad, message: "The market of this instance cannot do that." },
  deployment_name_taken: {
    status: 409,
    type: bad,
    message: "This account has a deployment of that name. Give this one another name, or change that one."
  },
  deployment_ending: { status: 409, type: bad, message: "The deployment is ending. Make a new one." },
  too_many_deployments: {
    status: 409,
    type: bad,
    message: "This account has as many deployments as it may. End one that is not needed."
  },
  too_many_preferences: {
    status: 409,
    type: bad,
    message: "This account has saved as many preferences as it may. Delete one that is not needed."
  },
  email_taken: { status: 409, type: bad, message: "There is an account with this email. Sign in, or use another." },
  own_account: {
    status: 409,
    type: bad,
    message: "Administrators cannot disable themselves or take their own role. Ask another administrator."
  },
  too_many_api_keys: {
    status: 409,
    type: bad,
    message: "This account has as many API keys as it may. Revoke one that is not needed."
  },
  body_too_large: {
    status: 413,
    type: bad,
    message: "The body is too large. JSON bodies may hold 20 MB, forms 26 MB."
  },
  unsupported_media_type: { status: 415, type: bad, message: 'Send the body as "Content-Type: application/json".' },
  unsupported_encoding: { status: 415, type: bad, message: "Send the body without a Content-Encoding." },
  idempotency_mismatch: {
    status: 422,
    type: bad,
    message: "This Idempotency-Key was used with another request. Use a new key for each request."
  },
  rate_limited: { status: 429, type: "rate_limit_error", message: "Too many requests for this API key. Slow down." },
  too_many_sign_ins: {
    status: 429,
    type: "rate_limit_error",
    message: "Too many attempts to sign in. Try again after the time in Retry-After."
  },
  upstream_throttled: {
    status: 429,
    type: "rate_limit_error",
    message: "The provider asks for fewer requests. Try again after the time in Retry-After."
  },
  client_closed: { status: 499, type: bad, message: "The client closed the connection." },
  internal: {
    status: 500,
    type: server,
    message: "Something went wrong in the gateway. Quote the request id to support."
  },
  upstream_invalid: {
    status: 502,
    type: server,
    message: "The provider answered with something that is not an answer."
  },
  stream_interrupted: {
    status: 502,
    type: server,
    message: "The provider broke off in the middle of its answer. What came before is incomplete."
  },
  instance_unreachable: {
    status: 502,
    type: server,
    message: "The instance cannot be reached at the address that its market published."
  },
  upstream_credential: {
    status: 502,
    type: server,
    message: "The provider refused the gateway's own credential. The operator has to act."
  },
  upstream_unavailable: {
    status: 503,
    type: server,
    message: "The provider could not be reached or failed. Try again after the time in Retry-After."
  },
  circuit_open: {
    status: 503,
    type: server,
    message: "The provider has been failing and is not called for now. Try again after the time in Retry-After."
  },
  overloaded: { status: 503, type: server, message: "Too many requests are under way. Try again shortly." },
  database_unavailable: {
    status: 503,
    type: server,
    message: "The gateway cannot reach its database at the moment. Try again after the time in Retry-After."
  },
  ledger_unavailable: {
    status: 503,
    type: server,
    message: "The account's credit cannot be looked up at the moment. Try again after the time in Retry-After."
  },
  read_only: {
    status: 503,
    type: server,
    message: "Nothing can be changed at the moment; reading and inference go on. Try again after the time in Retry-After."
  },
  idempotency_unavailable: {
    status: 503,
    type: server,
    message: "An Idempotency-Key cannot be kept at the moment, so the request was not executed. Try again after the time in Retry-After."
  },
  usage_unrecordable: {
    status: 503,
    type: server,
    message: "What this request uses could not be recorded, so it is not served. Try again after the time in Retry-After."
  },
  provider_not_configured: {
    status: 503,
    type: server,
    message: "No provider is configured for this. The operator has to set its API key."
  },
  connect_timeout: { status: 504, type: server, message: "No connection to the provider came about in time." },
  headers_timeout: { status: 504, type: server, message: "The provider took the request and did not begin to answer." },
  first_token_timeout: { status: 504, type: server, message: "The provider began no text in time." },
  stream_idle_timeout: {
    status: 504,
    type: server,
    message: "The provider fell silent in the middle of its answer. What came before is incomplete."
  },
  stream_too_slow: {
    status: 504,
    type: server,
    message: "The provider answered too slowly to go on. What came before is incomplete."
  },
  upstream_timeout: { status: 504, type: server, message: "The provider did not answer in time." },
  not_cached: {
    status: 504,
    type: server,
    message: "Only a stored answer was wanted, and there is none that may be used."
  },
  region_unreachable: {
    status: 503,
    type: server,
    message: "No region can be reached at the moment. Try again after the time in Retry-After; what was not a read may have been done: send it again with the same Idempotency-Key where it has one."
  },
  stale_unusable: {
    status: 504,
    type: server,
    message: "No region can be reached, and the stored answer must not be used without asking one."
  },
  deadline_exceeded: { status: 504, type: server, message: "The time allowed for this request is over." }
};
var ApiError = class extends Error {
  static {
    __name(this, "ApiError");
  }
  name = "ApiError";
  code;
  status;
  type;
  options;
  constructor(code, options = {}) {
    super(options.message ?? errorTable[code].message, { cause: options.cause });
    this.code = code;
    this.status = errorTable[code].status;
    this.type = errorTable[code].type;
    this.options = options;
  }
};
var openAiError = /* @__PURE__ */ __name(({ message, type, code, options }) => ({
  error: { message, type, param: options.param ?? null, code, ...options.members }
}), "openAiError");
var problemDetails = /* @__PURE__ */ __name(({ message, code, status, options }, requestId) => ({
  title: code.replaceAll("_", " "),
  status,
  detail: message,
  code,
  ...options.param && { param: options.param },
  ...options.members,
  request_id: requestId
}), "problemDetails");

// src/resilience/limits.ts
var minuteMs = 6e4;
var amountOf = /* @__PURE__ */ __name(({ unit, limit }, tokens) => unit === "tokens" ? Math.min(Math.max(tokens, 1), limit) : 1, "amountOf");

// src/resilience/local-limits.ts
var maxSubjects = 1e5;
var roundingMs = 1e-3;
var placeRetryMs = 1e3;
function createLocalLimits({ clock }) {
  const wholeAt = /* @__PURE__ */ new Map();
  const taken = /* @__PURE__ */ new Map();
  function waitFor(claim2, amount, now) {
    const { unit, key, limit } = claim2;
    if (unit === "places") return (taken.get(key)?.size ?? 0) < limit ? 0 : placeRetryMs;
    const usedMs = Math.max((wholeAt.get(key) ?? now) - now, 0) + amount * minuteMs / limit;
    return usedMs > minuteMs + roundingMs ? usedMs - minuteMs : 0;
  }
  __name(waitFor, "waitFor");
  function allowanceOf({ unit, key, limit }, now) {
    if (unit === "places") return { remaining: Math.max(limit - (taken.get(key)?.size ?? 0), 0), resetMs: 0 };
    const usedMs = Math.max((wholeAt.get(key) ?? now) - now, 0);
    const remaining = Math.max(Math.floor((minuteMs - usedMs + roundingMs) * limit / minuteMs), 0);
    return { remaining, resetMs: usedMs };
  }
  __name(allowanceOf, "allowanceOf");
  function spend(key, ms, now) {
    const from = Math.max(wholeAt.get(key) ?? now, now);
    wholeAt.delete(key);
    wholeAt.set(key, from + ms);
    if (wholeAt.size > maxSubjects) wholeAt.delete(wholeAt.keys().next().value);
  }
  __name(spend, "spend");
  function enter(key, id) {
    const requests = taken.get(key) ?? /* @__PURE__ */ new Set();
    taken.set(key, requests.add(id));
  }
  __name(enter, "enter");
  return {
    take({ claims: claims2 }, id, tokens = 0) {
      const now = clock.now();
      for (const claim2 of claims2) {
        const retryAfterMs = waitFor(claim2, amountOf(claim2, tokens), now);
        if (retryAfterMs === 0) continue;
        return { refusedBy: claim2, retryAfterMs, allowances: claims2.map((each) => allowanceOf(each, now)) };
      }
      for (const claim2 of claims2) {
        if (claim2.unit === "places") enter(claim2.key, id);
        else spend(claim2.key, amountOf(claim2, tokens) * minuteMs / claim2.limit, now);
      }
      return { refusedBy: void 0, allowances: claims2.map((each) => allowanceOf(each, now)) };
    },
    end({ claims: claims2 }, id, tokens) {
      for (const claim2 of claims2) {
        if (claim2.unit === "places") {
          const requests = taken.get(claim2.key);
          requests?.delete(id);
          if (requests?.size === 0) taken.delete(claim2.key);
        } else if (claim2.unit === "tokens" && tokens) {
          const more = tokens.used - amountOf(claim2, tokens.expected);
          spend(claim2.key, more * minuteMs / claim2.limit, clock.now());
        }
      }
    }
  };
}
__name(createLocalLimits, "createLocalLimits");

// src/services/access-tokens.ts
var issuer = "aiserve-gpuproxy";
var audience = "aiserve-gpuproxy/api";
var leewayS = 60;
var algorithm = { name: "HMAC", hash: "SHA-256" };
var signatureLength = 43;
var claims = strictObject({
  iss: literal(issuer),
  aud: literal(audience),
  sub: uuid2(),
  sid: uuid2(),
  jti: uuid2(),
  iat: int(),
  exp: int()
});
var encoder = new TextEncoder();
var decoder = new TextDecoder("utf-8", { fatal: true });
var header = toBase64Url(encoder.encode('{"alg":"HS256","typ":"JWT"}'));
var plausibleToken = new RegExp(`^${header}\\.[\\w-]{200,600}\\.[\\w-]{${signatureLength}}$`);
function createAccessTokens(options) {
  const { clock, newId: newId2, secret: secret2, previousSecret, lifetimeMs: lifetimeMs2, notBeforeS = 0 } = options;
  const keys = [secret2, ...previousSecret === void 0 ? [] : [previousSecret]].map(
    (text2) => crypto.subtle.importKey("raw", encoder.encode(text2), algorithm, false, ["sign", "verify"])
  );
  const nowS = /* @__PURE__ */ __name(() => Math.floor(clock.wallNow() / 1e3), "nowS");
  return {
    async issue({ accountId, sessionId }) {
      const iat = nowS();
      const exp = iat + Math.ceil(lifetimeMs2 / 1e3);
      const own2 = { iss: issuer, aud: audience, sub: accountId, sid: sessionId, jti: newId2(), iat, exp };
      const signed = `${header}.${toBase64Url(encoder.encode(JSON.stringify(own2)))}`;
      const signature = await crypto.subtle.sign("HMAC", await keys[0], encoder.encode(signed));
      return { token: `${signed}.${toBase64Url(new Uint8Array(signature))}`, expiresAt: new Date(exp * 1e3) };
    },
    async verify(token2) {
      if (!plausibleToken.test(token2)) return void 0;
      const signed = token2.slice(0, -signatureLength - 1);
      const signature = fromBase64Url(token2.slice(-signatureLength));
      if (!signature || !await isSigned(keys, signed, signature)) return void 0;
      const said = claims.safeParse(readJson(signed.slice(header.length + 1)));
      if (!said.success) return void 0;
      const { sub, sid, iat, exp } = said.data;
      if (nowS() > exp + leewayS || iat - leewayS > nowS() || iat < notBeforeS) return void 0;
      return { accountId: sub, sessionId: sid };
    }
  };
}
__name(createAccessTokens, "createAccessTokens");
async function isSigned(keys, signed, signature) {
  for (const key of keys) {
    if (await crypto.subtle.verify("HMAC", await key, signature, encoder.encode(signed))) return true;
  }
  return false;
}
__name(isSigned, "isSigned");
function readJson(part) {
  const bytes = fromBase64Url(part);
  try {
    return bytes && JSON.parse(decoder.decode(bytes));
  } catch {
    return void 0;
  }
}
__name(readJson, "readJson");
function toBase64Url(bytes) {
  const text2 = btoa(String.fromCharCode(...bytes));
  return text2.replaceAll("+", "-").replaceAll("/", "_").replace(/={1,2}$/, "");
}
__name(toBase64Url, "toBase64Url");
function fromBase64Url(text2) {
  if (text2.length % 4 === 1) return void 0;
  const bytes = Uint8Array.from(atob(text2.replaceAll("-", "+").replaceAll("_", "/")), (char) => char.charCodeAt(0));
  return toBase64Url(bytes) === text2 ? bytes : void 0;
}
__name(fromBase64Url, "fromBase64Url");

// src/edge/door.ts
var maxUrlLength = 8 * 1024;
var maxHeaderBytes = 16 * 1024;
var maxBodyBytes = 26 * 1024 * 1024;
var looksLikeToken = /^[\w-]+\.[\w-]+\.[\w-]*$/;
function createDoor({ config: config2, clock, newId: newId2, digest: digest2 }) {
  const limits = createLocalLimits({ clock });
  const { JWT_SECRET: secret2, JWT_SECRET_PREVIOUS: previousSecret, REVOKED_BEFORE: notBeforeS } = config2;
  const tokens = secret2 === void 0 ? void 0 : createAccessTokens({ clock, newId: newId2, secret: secret2, previousSecret, lifetimeMs: 0, notBeforeS });
  return {
    async admit(request, address) {
      checkSize(request);
      const set = {
        group: address,
        claims: [
          {
            scope: "address",
            unit: "requests",
            limit: config2.EDGE_RATE_LIMIT_PER_MINUTE,
            key: address
          }
        ]
      };
      const { refusedBy, retryAfterMs } = limits.take(set, "");
      if (refusedBy)
        throw new ApiError("rate_limited", { message: "Too many requests from your address.", retryAfterMs });
      const credential = credentialOf(request.headers);
      if (credential === void 0) return { caller: void 0, isMember: false };
      const isMember = tokens !== void 0 && looksLikeToken.test(credential);
      if (isMember && !await tokens.verify(credential)) {
        throw new ApiError("invalid_credential", {
          message: "This access token is not valid: altered, expired or revoked."
        });
      }
      return { caller: await digest2(credential), isMember };
    }
  };
}
__name(createDoor, "createDoor");
function checkSize({ url: url2, headers }) {
  if (url2.length > maxUrlLength) throw new ApiError("invalid_header", { message: "The URL is too long." });
  let bytes = 0;
  for (const [name, value] of headers) bytes += name.length + value.length;
  if (bytes > maxHeaderBytes) throw new ApiError("invalid_header", { message: "The headers are too large." });
  if (Number(headers.get("content-length") ?? 0) > maxBodyBytes) throw new ApiError("body_too_large");
}
__name(checkSize, "checkSize");
function credentialOf(headers) {
  const bearer = /^bearer +(\S.*)$/i.exec(headers.get("authorization") ?? "");
  return bearer?.[1]?.trim() ?? headers.get("x-api-key") ?? void 0;
}
__name(credentialOf, "credentialOf");

// src/resilience/rolling-window.ts
var never2 = -Infinity;
function createRollingWindow({ buckets, bucketMs }) {
  const ring = Array.from({ length: buckets }, () => ({ index: never2, calls: 0, failures: 0, slow: 0 }));
  const indexOf = /* @__PURE__ */ __name((time2) => Math.floor(time2 / bucketMs), "indexOf");
  const bucketOf = /* @__PURE__ */ __name((index) => ring[(index % buckets + buckets) % buckets], "bucketOf");
  const add = /* @__PURE__ */ __name((now, failed, slow) => {
    const index = indexOf(now);
    const bucket = bucketOf(index);
    if (bucket.index !== index) Object.assign(bucket, { index, calls: 0, failures: 0, slow: 0 });
    bucket.calls++;
    if (failed) bucket.failures++;
    if (slow) bucket.slow++;
  }, "add");
  return {
    add,
    turnFailed(at, now) {
      const index = indexOf(at);
      const bucket = bucketOf(index);
      if (bucket.index === index && index > indexOf(now) - buckets) bucket.failures++;
      else add(now, true, false);
    },
    counts(now) {
      const newest = indexOf(now);
      const sum = { calls: 0, failures: 0, slow: 0 };
      for (const bucket of ring) {
        if (bucket.index <= newest - buckets) continue;
        sum.calls += bucket.calls;
        sum.failures += bucket.failures;
        sum.slow += bucket.slow;
      }
      return sum;
    },
    clear() {
      for (const bucket of ring) bucket.index = never2;
    }
  };
}
__name(createRollingWindow, "createRollingWindow");

// src/resilience/circuit-breaker.ts
var windowBuckets = 20;
var windowBucketMs = 3e3;
var suddenSpanMs = 500;
var tellingRow = /* @__PURE__ */ __name((calls) => Math.ceil(Math.log2(1e3 * calls / (windowBuckets * windowBucketMs / 1e3))), "tellingRow");
var trialsBusyMs = 1e3;
var slowStartShares = [0.25, 0.5, 0.75];
function createCircuitBreaker(options) {
  const { clock, random, onTransition, restore } = options;
  const failureThreshold = share("failureThreshold", options.failureThreshold ?? 0.6);
  const slowThreshold = share("slowThreshold", options.slowThreshold ?? 0.8);
  const minCalls = positive("minCalls", options.minCalls ?? 10);
  const consecutiveFailures = positive("consecutiveFailures", options.consecutiveFailures ?? 5);
  const consecutiveSpanMs = options.consecutiveSpanMs ?? 1e3;
  const openMs2 = positive("openMs", options.openMs ?? 3e4);
  const maxOpenMs2 = Math.max(openMs2, options.maxOpenMs ?? 3e5);
  const trialCalls = positive("trialCalls", options.trialCalls ?? 3);
  const trialLeaseMs = positive("trialLeaseMs", options.trialLeaseMs ?? 1e4);
  const slowStartStepMs = options.slowStartStepMs ?? 1e3;
  const { onFailure, trialTurn, pods = /* @__PURE__ */ __name(() => 1, "pods") } = options;
  const window = createRollingWindow({ buckets: windowBuckets, bucketMs: windowBucketMs });
  let generation = 0;
  let opensInARow = restore?.opensInARow ?? 0;
  let state = restoredState();
  function restoredState() {
    const from = restore?.state ?? "closed";
    if (from === "forced_open" || from === "forced_closed") return { name: from };
    if (from === "open" || from === "half_open")
      return { name: "open", until: clock.now() + (restore?.remainingMs ?? 0) };
    return closed(false);
  }
  __name(restoredState, "restoredState");
  function closed(returning) {
    return { name: "closed", since: clock.now(), returning, rowStart: 0, row: 0, step: 0, stepCalls: 0 };
  }
  __name(closed, "closed");
  function enter(next) {
    const from = state.name;
    if (state.name === "half_open") state.cancelTimer();
    generation++;
    state = next;
    if (next.name !== from) onTransition?.(next.name, from);
  }
  __name(enter, "enter");
  function open2(retryAfterMs) {
    const wait = Math.min(openMs2 * 2 ** opensInARow, maxOpenMs2) * (0.8 + 0.4 * random());
    opensInARow++;
    enter({ name: "open", until: clock.now() + Math.max(wait, Math.min(retryAfterMs, maxOpenMs2)) });
  }
  __name(open2, "open");
  function halfOpen() {
    enter({ name: "half_open", successes: 0, leases: /* @__PURE__ */ new Map(), cancelTimer: /* @__PURE__ */ __name(() => {
    }, "cancelTimer") });
  }
  __name(halfOpen, "halfOpen");
  function close() {
    window.clear();
    opensInARow = 0;
    enter(closed(slowStartStepMs > 0));
  }
  __name(close, "close");
  function expireLeases() {
    if (state.name !== "half_open") return;
    const now = clock.now();
    for (const end of state.leases.values()) if (end <= now) return open2(0);
  }
  __name(expireLeases, "expireLeases");
  function watchLeases() {
    if (state.name !== "half_open") return;
    state.cancelTimer();
    state.cancelTimer = () => {
    };
    if (state.leases.size === 0) return;
    const first = Math.min(...state.leases.values());
    state.cancelTimer = clock.setTimer(Math.max(first - clock.now(), 0), () => {
      expireLeases();
      watchLeases();
    });
  }
  __name(watchLeases, "watchLeases");
  function permit() {
    const born = generation;
    let used = false;
    let succeededAt;
    const self = {
      report(verdict, retryAfterMs = 0) {
        if (used) return;
        used = true;
        if (born !== generation) return;
        if (verdict === "success" || verdict === "slow") succeededAt = clock.now();
        if (state.name === "closed") reportClosed(state, verdict, retryAfterMs);
        else if (state.name === "half_open") reportTrial(state, self, verdict, retryAfterMs);
      },
      failedLater() {
        if (succeededAt === void 0 || born !== generation) return;
        const at = succeededAt;
        succeededAt = void 0;
        if (state.name === "closed") brokeLater(state, at);
        else if (state.name === "half_open") open2(0);
      }
    };
    return self;
  }
  __name(permit, "permit");
  function reportClosed(current, verdict, retryAfterMs) {
    if (verdict === "neutral") return;
    const now = clock.now();
    const failed = verdict === "failure";
    window.add(now, failed, verdict === "slow");
    if (failed) lengthenRow(current, now);
    else current.row = 0;
    if (verdict !== "success") evaluate(current, now, retryAfterMs);
    if (failed && state === current) onFailure?.();
  }
  __name(reportClosed, "reportClosed");
  function brokeLater(current, at) {
    const now = clock.now();
    window.turnFailed(at, now);
    lengthenRow(current, now);
    evaluate(current, now, 0);
    if (state === current) onFailure?.();
  }
  __name(brokeLater, "brokeLater");
  function lengthenRow(current, now) {
    if (current.row++ === 0) current.rowStart = now;
  }
  __name(lengthenRow, "lengthenRow");
  function evaluate(current, now, retryAfterMs) {
    const { calls, failures: failures2, slow } = window.counts(now);
    const enough = calls >= minCalls;
    const rowMs = now - current.rowStart;
    if (!enough) {
      if (current.row >= consecutiveFailures && rowMs >= consecutiveSpanMs) open2(retryAfterMs);
      return;
    }
    const suddenOutage = current.row >= Math.max(minCalls, tellingRow(calls)) && rowMs >= suddenSpanMs;
    if (suddenOutage || failures2 / calls >= failureThreshold || slow / calls >= slowThreshold) open2(retryAfterMs);
  }
  __name(evaluate, "evaluate");
  function reportTrial(current, trial, verdict, retryAfterMs) {
    current.leases.delete(trial);
    if (verdict === "failure") return open2(retryAfterMs);
    if (verdict !== "neutral" && ++current.successes >= trialCalls) return close();
    watchLeases();
  }
  __name(reportTrial, "reportTrial");
  const hasRoom = /* @__PURE__ */ __name((current) => current.leases.size + current.successes < trialCalls, "hasRoom");
  function admitReturning(current) {
    const step = Math.floor((clock.now() - current.since) / slowStartStepMs);
    const admitted = slowStartShares[step];
    if (admitted === void 0) {
      current.returning = false;
      return true;
    }
    if (step !== current.step) Object.assign(current, { step, stepCalls: 0 });
    return ++current.stepCalls <= Math.ceil(minCalls / pods()) || random() < admitted;
  }
  __name(admitReturning, "admitReturning");
  return {
    acquire(leaseMs = trialLeaseMs) {
      if (state.name === "half_open") expireLeases();
      const due = state.name === "open" && clock.now() >= state.until;
      const notNow = due || state.name === "half_open" && hasRoom(state) ? trialTurn?.() : void 0;
      if (notNow) return notNow;
      if (due) halfOpen();
      switch (state.name) {
        case "closed":
          if (state.returning && !admitReturning(state)) return { refused: "slow_start", retryAfterMs: slowStartStepMs };
          return { permit: permit() };
        case "open":
          return { refused: "open", retryAfterMs: state.until - clock.now() };
        case "half_open": {
          if (!hasRoom(state)) return { refused: "trials_busy", retryAfterMs: trialsBusyMs };
          const trial = permit();
          state.leases.set(trial, clock.now() + Math.min(leaseMs, trialLeaseMs));
          watchLeases();
          return { permit: trial };
        }
        case "forced_open":
          return { refused: "open", retryAfterMs: openMs2 };
        case "forced_closed":
          return { permit: permit() };
      }
    },
    refusesForMs() {
      if (state.name === "open") return Math.max(state.until - clock.now(), 0);
      if (state.name === "half_open") return hasRoom(state) ? 0 : trialsBusyMs;
      return state.name === "forced_open" ? openMs2 : 0;
    },
    state: /* @__PURE__ */ __name(() => state.name, "state"),
    trialsUnderWay: /* @__PURE__ */ __name(() => state.name === "half_open" ? state.leases.size : 0, "trialsUnderWay"),
    probeSucceeded() {
      if (state.name === "open") halfOpen();
    },
    endWait() {
      if (state.name === "open") state.until = Math.min(state.until, clock.now());
    },
    openEarly(failures2) {
      if (state.name !== "closed" || state.row < failures2) return false;
      open2(0);
      return true;
    },
    stayOpen() {
      if (state.name === "open") open2(0);
    },
    recover() {
      if (state.name === "open" || state.name === "half_open") close();
    },
    force(to) {
      if (to === "open") enter({ name: "forced_open" });
      else if (to === "closed") enter({ name: "forced_closed" });
      else if (state.name === "forced_open" || state.name === "forced_closed") {
        window.clear();
        opensInARow = 0;
        enter(closed(false));
      }
    },
    status() {
      const now = clock.now();
      const { calls, failures: failures2 } = window.counts(now);
      const nextTrialInMs = state.name === "open" ? Math.max(state.until - now, 0) : 0;
      return { state: state.name, calls, failureRate: calls === 0 ? 0 : failures2 / calls, nextTrialInMs };
    },
    snapshot() {
      const remainingMs = state.name === "open" ? Math.max(state.until - clock.now(), 0) : 0;
      return { state: state.name, opensInARow, remainingMs };
    }
  };
}
__name(createCircuitBreaker, "createCircuitBreaker");
function share(name, value) {
  if (!(value > 0 && value <= 1)) throw new TypeError(`${name} must be above 0 and at most 1, got ${value}`);
  return value;
}
__name(share, "share");
function positive(name, value) {
  if (!(value > 0)) throw new TypeError(`${name} must be above 0, got ${value}`);
  return value;
}
__name(positive, "positive");

// src/resilience/retry-budget.ts
var minRetriesUnderWay = 3;
var maxRetryShare = 0.2;
var savingMs = 6e4;
function createRetryBudget(options) {
  const { clock, ratio = 0.1, initialTokens = 10, maxTokens = 75, perSecond = 1, pods = /* @__PURE__ */ __name(() => 1, "pods") } = options;
  if (!(ratio >= 0 && ratio <= 1)) throw new TypeError(`ratio must be 0 to 1, got ${ratio}`);
  let tokens = initialTokens / pods();
  let savesUntil = -Infinity;
  let refilledAt = clock.now();
  let active = 0;
  let retries = 0;
  const refill = /* @__PURE__ */ __name(() => {
    const now = clock.now();
    earn((now - refilledAt) / 1e3 * (perSecond / pods()));
    refilledAt = now;
  }, "refill");
  const earn = /* @__PURE__ */ __name((earned) => {
    const share2 = maxTokens / pods();
    tokens = Math.min(clock.now() < savesUntil ? Math.max(share2, 1) : share2, tokens + earned);
  }, "earn");
  const exhausted = /* @__PURE__ */ __name(() => {
    refill();
    if (tokens < 1) savesUntil = clock.now() + savingMs;
    return tokens < 1 || retries >= Math.max(minRetriesUnderWay, Math.floor(maxRetryShare * active));
  }, "exhausted");
  return {
    firstTry() {
      earn(ratio);
      active++;
      return () => void active--;
    },
    retry() {
      if (exhausted()) return void 0;
      tokens--;
      active++;
      retries++;
      return () => {
        active--;
        retries--;
      };
    },
    get exhausted() {
      return exhausted();
    }
  };
}
__name(createRetryBudget, "createRetryBudget");

// src/upstream/hedge.ts
var keptTimes = 200;
var percentile = 0.95;
function createHedge({ clock, maxShare = 0.05, minSamples = 100, onHedged }) {
  if (!(maxShare >= 0 && maxShare <= 1)) throw new TypeError(`maxShare must be 0 to 1, got ${maxShare}`);
  if (!(minSamples >= 1 && minSamples <= keptTimes)) {
    throw new TypeError(`minSamples must be 1 to ${keptTimes}, got ${minSamples}`);
  }
  const timesMs = [];
  let nextTime = 0;
  let allowed = 0;
  const maxAllowed = Math.max(maxShare * keptTimes, 1);
  function note2(ms) {
    timesMs[nextTime] = ms;
    nextTime = (nextTime + 1) % keptTimes;
  }
  __name(note2, "note");
  function delayMs() {
    if (timesMs.length < minSamples) return void 0;
    const sorted = timesMs.toSorted((a, b) => a - b);
    return sorted[Math.ceil(percentile * sorted.length) - 1];
  }
  __name(delayMs, "delayMs");
  function takeSecond(budget) {
    if (allowed < 1) return void 0;
    const end = budget.retry();
    if (end) allowed--;
    return end;
  }
  __name(takeSecond, "takeSecond");
  return {
    delayMs,
    hedged(send, { signal, budget }) {
      allowed = Math.min(allowed + maxShare, maxAllowed);
      const afterMs = delayMs();
      const startedAt = clock.now();
      const calls = [];
      const onAbort = /* @__PURE__ */ __name(() => {
        for (const call of calls) call.abort(signal.reason);
      }, "onAbort");
      return new Promise((resolve, reject) => {
        let pending = 0;
        let firstFailure;
        let stopTimer = /* @__PURE__ */ __name(() => {
        }, "stopTimer");
        const settle2 = /* @__PURE__ */ __name((won) => {
          stopTimer();
          signal.removeEventListener("abort", onAbort);
          if (calls.length > 1) onHedged?.(won);
        }, "settle");
        const begin = /* @__PURE__ */ __name(async (which) => {
          const call = new AbortController();
          calls.push(call);
          pending++;
          try {
            const value = await send(call.signal);
            if (pending === 0) return;
            pending = 0;
            note2(clock.now() - startedAt);
            settle2(which);
            resolve(value);
            for (const other of calls) if (other !== call) other.abort();
          } catch (reason) {
            if (pending === 0) return;
            if (which === "first") firstFailure = { reason };
            if (--pending > 0) return;
            settle2("neither");
            reject(firstFailure?.reason);
          }
        }, "begin");
        signal.addEventListener("abort", onAbort, { once: true });
        void begin("first");
        if (signal.aborted) onAbort();
        if (afterMs === void 0 || pending === 0) return;
        stopTimer = clock.setTimer(afterMs, () => {
          const endSecond = signal.aborted ? void 0 : takeSecond(budget);
          if (endSecond) void begin("second").finally(endSecond);
        });
      });
    }
  };
}
__name(createHedge, "createHedge");

// src/edge/regions.ts
var NotSent = class extends Error {
  static {
    __name(this, "NotSent");
  }
  name = "NotSent";
};
var openMs = 2e3;
var maxOpenMs = 3e4;
var safe2 = /* @__PURE__ */ new Set(["GET", "HEAD", "OPTIONS"]);
var elsewhere = /* @__PURE__ */ new Set([502, 503, 504]);
var faster = { share: 0.7, ms: 20 };
var minReads = 10;
var newestShare = 0.1;
var exploringShare = 0.02;
var stickyMs = 3e4;
var maxSticky = 1e4;
function createRegions({ origins: origins2, clock, random, ask }) {
  const regions = origins2.map((origin) => ({
    origin,
    breaker: createCircuitBreaker({
      clock,
      random,
      openMs,
      maxOpenMs,
      trialCalls: 1,
      slowStartStepMs: 0
    }),
    readMs: void 0,
    reads: 0
  }));
  const hedge = createHedge({ clock });
  const budget = createRetryBudget({ clock });
  const wroteAt = /* @__PURE__ */ new Map();
  function inOrder({ method, caller }) {
    const sticky = caller === void 0 ? void 0 : wroteAt.get(caller);
    if (sticky && sticky.until > clock.now()) return first(sticky.region);
    let [best] = regions;
    for (const each of regions) if (isFaster(each, best)) best = each;
    if (safe2.has(method) && regions.length > 1 && random() < exploringShare) {
      best = regions[Math.floor(random() * regions.length)];
    }
    return first(best);
  }
  __name(inOrder, "inOrder");
  const first = /* @__PURE__ */ __name((region) => [region, ...regions.filter((each) => each !== region)], "first");
  async function send(request) {
    const all = inOrder(request);
    if (!safe2.has(request.method)) {
      const { response, region } = await inTurn(
        all.toSorted((a, b) => doubt(a) - doubt(b)),
        request
      );
      stick(request, response, region);
      return response;
    }
    if (all.length === 1) return (await inTurn(all, request)).response;
    const end = budget.firstTry();
    let calls = 0;
    const asked = /* @__PURE__ */ __name((signal) => inTurn(rotated(all, calls++), { ...request, signal }), "asked");
    try {
      return (await hedge.hedged(asked, { signal: request.signal, budget })).response;
    } finally {
      end();
    }
  }
  __name(send, "send");
  async function inTurn(order, request) {
    let failure2;
    let answered;
    for (const [i, region] of order.entries()) {
      const admission = region.breaker.acquire();
      const isLastResort = i === order.length - 1 && failure2 === void 0 && answered === void 0;
      if (!("permit" in admission) && !isLastResort) continue;
      try {
        const response = await askOne(region, "permit" in admission ? admission.permit : void 0, request);
        void answered?.response.body?.cancel();
        answered = { response, region };
        if (!mayGoOn(request, response)) return answered;
      } catch (error2) {
        request.signal.throwIfAborted();
        failure2 = error2;
        if (!maySendAgain(request) && !(error2 instanceof NotSent && isWhole2(request))) break;
      }
    }
    if (answered) return answered;
    throw new ApiError("region_unreachable", { cause: failure2, retryAfterMs: openMs });
  }
  __name(inTurn, "inTurn");
  async function askOne(region, permit, request) {
    const { method, path, headers, body, signal } = request;
    const startedAt = clock.now();
    try {
      const response = await ask(
        new Request(region.origin + path, {
          method,
          headers,
          body,
          signal,
          redirect: "manual",
          ...body instanceof ReadableStream && { duplex: "half" }
        })
      );
      permit?.report("success");
      if (safe2.has(method)) note(region, clock.now() - startedAt);
      return response;
    } catch (error2) {
      permit?.report(signal.aborted ? "neutral" : "failure");
      if (!signal.aborted && regions.length > 1) region.breaker.openEarly(1);
      throw error2;
    }
  }
  __name(askOne, "askOne");
  function stick({ caller, path }, response, region) {
    if (caller === void 0 || !path.startsWith("/api/") || response.status >= 500) return;
    wroteAt.delete(caller);
    wroteAt.set(caller, { region, until: clock.now() + stickyMs });
    const [oldest] = wroteAt.keys();
    if (wroteAt.size > maxSticky && oldest !== void 0) wroteAt.delete(oldest);
  }
  __name(stick, "stick");
  return { send };
}
__name(createRegions, "createRegions");
var doubt = /* @__PURE__ */ __name(({ breaker: breaker2 }) => Number(breaker2.state() !== "closed"), "doubt");
function isFaster(region, than) {
  if (region.readMs === void 0 || than.readMs === void 0) return false;
  if (Math.min(region.reads, than.reads) < minReads) return false;
  return region.readMs < than.readMs * faster.share && region.readMs < than.readMs - faster.ms;
}
__name(isFaster, "isFaster");
function note(region, ms) {
  region.reads++;
  region.readMs = region.readMs === void 0 ? ms : region.readMs + (ms - region.readMs) * newestShare;
}
__name(note, "note");
var rotated = /* @__PURE__ */ __name((order, by) => [...order.slice(by), ...order.slice(0, by)], "rotated");
var isWhole2 = /* @__PURE__ */ __name(({ body }) => !(body instanceof ReadableStream), "isWhole");
var maySendAgain = /* @__PURE__ */ __name((request) => isWhole2(request) && (safe2.has(request.method) || request.headers.has("idempotency-key")), "maySendAgain");
function mayGoOn(request, response) {
  if (!elsewhere.has(response.status) || !isWhole2(request)) return false;
  return safe2.has(request.method) || response.status === 503 && response.headers.get("x-should-retry") === "true";
}
__name(mayGoOn, "mayGoOn");

// src/edge.ts
var purgePath = "/edge/purge";
var maxTags = 100;
var maxWholeBytes = 1024 * 1024;
var acceptedMs = 5e3;
var maxAccepted = 1e4;
var notForwarded = [
  ...["connection", "keep-alive", "proxy-connection", "proxy-authenticate", "proxy-authorization", "te", "trailer"],
  ...[
    "transfer-encoding",
    "host",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
    "x-real-ip",
    "forwarded"
  ]
];
var always = {
  "strict-transport-security": "max-age=31536000",
  "x-content-type-options": "nosniff",
  "referrer-policy": "no-referrer"
};
var stored = /* @__PURE__ */ new Set(["HIT", "STALE", "REVALIDATED"]);
var empty = /* @__PURE__ */ new Set([101, 204, 205, 304]);
function createEdge(config2, ports) {
  const { clock, newId: newId2 } = ports;
  const door = createDoor({ config: config2, ...ports });
  const cors = createCors(config2.CORS_ORIGINS ?? []);
  const regions = createRegions({ origins: config2.ORIGINS, ...ports });
  const accepted = /* @__PURE__ */ new Map();
  const cache = createHttpCache({
    store: ports.store,
    clock,
    refuse: /* @__PURE__ */ __name((request, why) => errorResponse(request, new ApiError(why === "only_if_cached" ? "not_cached" : "stale_unusable"), newId2()), "refuse")
  });
  async function answer(request, context, id) {
    if (new URL(request.url).pathname === purgePath) return { response: await purge(request), use: "bypass" };
    const visitor = await door.admit(request, context.address);
    const { body, isWhole: isWhole3 } = await readBody(request);
    const next = /* @__PURE__ */ __name(async (asked) => {
      const response = await regions.send(regional(asked, body, visitor, context.address, id));
      if (visitor.isMember && response.ok) accept(visitor.caller);
      return response;
    }, "next");
    const { upgrade } = Object.fromEntries(request.headers);
    if (upgrade !== void 0 || visitor.caller !== void 0 && !visitor.isMember || !isWhole3) {
      return { response: await next(request), use: "bypass" };
    }
    const { background } = context;
    if (!visitor.isMember) return cache.handle(request, next, { background });
    return cache.handle(request, next, { background, group: "members", ask: !isAccepted(visitor.caller) });
  }
  __name(answer, "answer");
  function accept(caller) {
    accepted.delete(caller);
    accepted.set(caller, clock.now() + acceptedMs);
    const [oldest] = accepted.keys();
    if (accepted.size > maxAccepted && oldest !== void 0) accepted.delete(oldest);
  }
  __name(accept, "accept");
  const isAccepted = /* @__PURE__ */ __name((caller) => (accepted.get(caller) ?? 0) > clock.now(), "isAccepted");
  async function purge(request) {
    const given = /^bearer +(\S+)$/i.exec(request.headers.get("authorization") ?? "")?.[1] ?? "";
    const { PURGE_TOKEN: token2 } = config2;
    if (token2 === void 0 || await ports.digest(given) !== await ports.digest(token2)) {
      throw new ApiError("unknown_route");
    }
    const { tags } = await request.json().catch(() => ({}));
    const isList = Array.isArray(tags) && tags.length <= maxTags && tags.every((tag) => typeof tag === "string");
    if (!isList) throw new ApiError("invalid_body", { message: `Send {"tags": [...]}, at most ${maxTags} texts.` });
    for (const tag of tags) await cache.purge(tag);
    return new Response(null, { status: 204 });
  }
  __name(purge, "purge");
  return {
    async fetch(request, context) {
      const id = newId2();
      const preflight = cors.preflight(request);
      if (preflight) return finished(preflight, request, id);
      try {
        const { response, use } = await answer(request, context, id);
        if (response.status === 101) return response;
        return finished(response, request, id, use.toUpperCase());
      } catch (error2) {
        if (!(error2 instanceof ApiError) && request.signal.aborted) throw error2;
        const known = error2 instanceof ApiError ? error2 : new ApiError("internal", { cause: error2 });
        return finished(errorResponse(request, known, id), request, id);
      }
    }
  };
  function finished(response, request, id, use) {
    const headers = new Headers(response.headers);
    for (const [name, value] of Object.entries(always)) if (!headers.has(name)) headers.set(name, value);
    if (!headers.has("x-request-id") || stored.has(use ?? "")) headers.set("x-request-id", id);
    if (use !== void 0) headers.set("x-edge-cache", use);
    cors.allow(request, headers);
    const { status, statusText } = response;
    return new Response(empty.has(status) ? null : response.body, { status, statusText, headers });
  }
  __name(finished, "finished");
}
__name(createEdge, "createEdge");
async function readBody(request) {
  if (request.body === null) return { body: null, isWhole: true };
  const length = Number(request.headers.get("content-length") ?? Number.NaN);
  if (!(length <= maxWholeBytes)) return { body: request.body, isWhole: false };
  return { body: new Uint8Array(await request.arrayBuffer()), isWhole: true };
}
__name(readBody, "readBody");
function regional(asked, body, { caller }, address, id) {
  const url2 = new URL(asked.url);
  const headers = new Headers(asked.headers);
  const named = (headers.get("connection") ?? "").split(",").map((name) => name.trim().toLowerCase());
  const isTunnel = headers.has("upgrade");
  for (const name of [...notForwarded, ...named]) {
    if (/^[\w-]+$/.test(name) && !(isTunnel && name === "upgrade") && !kept.has(name)) headers.delete(name);
  }
  headers.set("x-forwarded-for", address);
  headers.set("x-forwarded-proto", url2.protocol.slice(0, -1));
  headers.set("x-request-id", id);
  return { method: asked.method, path: url2.pathname + url2.search, headers, body, signal: asked.signal, caller };
}
__name(regional, "regional");
var kept = /* @__PURE__ */ new Set(["authorization", "x-api-key", "cookie", "content-type", "content-length", "idempotency-key"]);
function errorResponse(request, error2, id) {
  const isOpenAi = new URL(request.url).pathname.startsWith("/v1/");
  const { retryAfterMs, headers } = error2.options;
  return new Response(JSON.stringify(isOpenAi ? openAiError(error2) : problemDetails(error2, id)), {
    status: error2.status,
    headers: {
      "content-type": isOpenAi ? "application/json" : "application/problem+json",
      "cache-control": "no-store",
      ...retryAfterMs !== void 0 && { "retry-after": String(Math.max(1, Math.ceil(retryAfterMs / 1e3))) },
      ...headers
    }
  });
}
__name(errorResponse, "errorResponse");

// src/resilience/clock.ts
var longMs = 1e4;
var longStepMs = 100;
var systemClock = {
  now: /* @__PURE__ */ __name(() => performance.now(), "now"),
  wallNow: /* @__PURE__ */ __name(() => Date.now(), "wallNow"),
  setTimer(ms, fn) {
    const timer = setTimeout(fn, ms > longMs ? Math.ceil(ms / longStepMs) * longStepMs : ms);
    return () => clearTimeout(timer);
  }
};

// adapters/worker/cache-store.ts
var entryUrl = /* @__PURE__ */ __name((key) => `https://edge.invalid/entry/${encodeURIComponent(key)}`, "entryUrl");
var purgeUrl = /* @__PURE__ */ __name((tag) => `https://edge.invalid/purged/${encodeURIComponent(tag)}`, "purgeUrl");
var keepFor = { "cache-control": "public, max-age=86400" };
var encoder2 = new TextEncoder();
var decoder2 = new TextDecoder();
function createCacheApiStore(cache) {
  return {
    async get(key) {
      const found = await cache.match(entryUrl(key));
      return found ? unpack(new Uint8Array(await found.arrayBuffer())) : [];
    },
    async put(key, variants) {
      await cache.put(entryUrl(key), new Response(pack(variants), { headers: keepFor }));
    },
    async delete(key) {
      await cache.delete(entryUrl(key));
    },
    async purge(tag, at) {
      await cache.put(purgeUrl(tag), new Response(String(at), { headers: keepFor }));
    },
    async purgedAt(tags) {
      const times = await Promise.all(
        tags.map(async (tag) => Number(await (await cache.match(purgeUrl(tag)))?.text() ?? 0))
      );
      return Math.max(0, ...times);
    }
  };
}
__name(createCacheApiStore, "createCacheApiStore");
var lengthBytes = 4;
function pack(variants) {
  const head = variants.map(({ body, ...rest }) => ({ ...rest, length: body.length }));
  const text2 = encoder2.encode(JSON.stringify(head));
  const bytes = new Uint8Array(lengthBytes + text2.length + variants.reduce((sum, { body }) => sum + body.length, 0));
  new DataView(bytes.buffer).setUint32(0, text2.length);
  bytes.set(text2, lengthBytes);
  let at = lengthBytes + text2.length;
  for (const { body } of variants) {
    bytes.set(body, at);
    at += body.length;
  }
  return bytes;
}
__name(pack, "pack");
function unpack(bytes) {
  const length = new DataView(bytes.buffer, bytes.byteOffset).getUint32(0);
  let at = lengthBytes + length;
  const head = JSON.parse(decoder2.decode(bytes.subarray(lengthBytes, at)));
  return head.map(({ length: bodyLength, ...rest }) => {
    const body = bytes.subarray(at, at + bodyLength);
    at += bodyLength;
    return { ...rest, body };
  });
}
__name(unpack, "unpack");

// adapters/worker/identity.ts
function newId() {
  const time2 = Date.now().toString(16).padStart(12, "0");
  return `${time2.slice(0, 8)}-${time2.slice(8)}-7${crypto.randomUUID().slice(15)}`;
}
__name(newId, "newId");
async function digest(text2) {
  const bytes = new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text2)));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
__name(digest, "digest");

// adapters/worker/main.ts
var edge;
async function start(env) {
  return createEdge(loadEdgeConfig(env), {
    clock: systemClock,
    random: Math.random,
    newId,
    digest,
    // Why a connection failed is not told here, so none is known to have failed before a byte left.
    ask: /* @__PURE__ */ __name((request) => fetch(request), "ask"),
    store: createCacheApiStore(await caches.open("aiserve-gpuproxy"))
  });
}
__name(start, "start");
var main_default = {
  async fetch(request, env, context) {
    edge ??= start(env);
    try {
      return await (await edge).fetch(request, {
        address: request.headers.get("cf-connecting-ip") ?? "",
        background: /* @__PURE__ */ __name((work) => context.waitUntil(work), "background")
      });
    } catch (error2) {
      edge = void 0;
      console.error(JSON.stringify({ level: "error", msg: "the edge cannot answer", error: String(error2) }));
      return new Response('{"title":"internal","status":500,"code":"internal"}', {
        status: 500,
        headers: { "content-type": "application/problem+json", "cache-control": "no-store" }
      });
    }
  }
};

// node_modules/wrangler/templates/middleware/middleware-ensure-req-body-drained.ts
var drainBody = /* @__PURE__ */ __name(async (request, env, _ctx, middlewareCtx) => {
  try {
    return await middlewareCtx.next(request, env);
  } finally {
    try {
      if (request.body !== null && !request.bodyUsed) {
        const reader = request.body.getReader();
        while (!(await reader.read()).done) {
        }
      }
    } catch (e) {
      console.error("Failed to drain the unused request body.", e);
    }
  }
}, "drainBody");
var middleware_ensure_req_body_drained_default = drainBody;

// node_modules/wrangler/templates/middleware/middleware-miniflare3-json-error.ts
function reduceError(e) {
  return {
    name: e?.name,
    message: e?.message ?? String(e),
    stack: e?.stack,
    cause: e?.cause === void 0 ? void 0 : reduceError(e.cause)
  };
}
__name(reduceError, "reduceError");
var jsonError = /* @__PURE__ */ __name(async (request, env, _ctx, middlewareCtx) => {
  try {
    return await middlewareCtx.next(request, env);
  } catch (e) {
    const error2 = reduceError(e);
    const body = JSON.stringify(error2);
    const headers = {
      "Content-Type": "application/json",
      "MF-Experimental-Error-Stack": "true"
    };
    const encoded = encodeURIComponent(body);
    if (encoded.length <= 8192) {
      headers["MF-Experimental-Error-Stack-Payload"] = encoded;
    }
    return new Response(body, { status: 500, headers });
  }
}, "jsonError");
var middleware_miniflare3_json_error_default = jsonError;

// .wrangler/tmp/bundle-XQBOzZ/middleware-insertion-facade.js
var __INTERNAL_WRANGLER_MIDDLEWARE__ = [
  middleware_ensure_req_body_drained_default,
  middleware_miniflare3_json_error_default
];
var middleware_insertion_facade_default = main_default;

// node_modules/wrangler/templates/middleware/common.ts
var __facade_middleware__ = [];
function __facade_register__(...args) {
  __facade_middleware__.push(...args.flat());
}
__name(__facade_register__, "__facade_register__");
function __facade_invokeChain__(request, env, ctx, dispatch, middlewareChain) {
  const [head, ...tail] = middlewareChain;
  const middlewareCtx = {
    dispatch,
    next(newRequest, newEnv) {
      return __facade_invokeChain__(newRequest, newEnv, ctx, dispatch, tail);
    }
  };
  return head(request, env, ctx, middlewareCtx);
}
__name(__facade_invokeChain__, "__facade_invokeChain__");
function __facade_invoke__(request, env, ctx, dispatch, finalMiddleware) {
  return __facade_invokeChain__(request, env, ctx, dispatch, [
    ...__facade_middleware__,
    finalMiddleware
  ]);
}
__name(__facade_invoke__, "__facade_invoke__");

// .wrangler/tmp/bundle-XQBOzZ/middleware-loader.entry.ts
var __Facade_ScheduledController__ = class ___Facade_ScheduledController__ {
  constructor(scheduledTime, cron, noRetry) {
    this.scheduledTime = scheduledTime;
    this.cron = cron;
    this.#noRetry = noRetry;
  }
  scheduledTime;
  cron;
  static {
    __name(this, "__Facade_ScheduledController__");
  }
  #noRetry;
  noRetry() {
    if (!(this instanceof ___Facade_ScheduledController__)) {
      throw new TypeError("Illegal invocation");
    }
    this.#noRetry();
  }
};
function wrapExportedHandler(worker) {
  if (__INTERNAL_WRANGLER_MIDDLEWARE__ === void 0 || __INTERNAL_WRANGLER_MIDDLEWARE__.length === 0) {
    return worker;
  }
  for (const middleware of __INTERNAL_WRANGLER_MIDDLEWARE__) {
    __facade_register__(middleware);
  }
  const fetchDispatcher = /* @__PURE__ */ __name(function(request, env, ctx) {
    if (worker.fetch === void 0) {
      throw new Error("Handler does not export a fetch() function.");
    }
    return worker.fetch(request, env, ctx);
  }, "fetchDispatcher");
  return {
    ...worker,
    fetch(request, env, ctx) {
      const dispatcher = /* @__PURE__ */ __name(function(type, init) {
        if (type === "scheduled" && worker.scheduled !== void 0) {
          const controller = new __Facade_ScheduledController__(
            Date.now(),
            init.cron ?? "",
            () => {
            }
          );
          return worker.scheduled(controller, env, ctx);
        }
      }, "dispatcher");
      return __facade_invoke__(request, env, ctx, dispatcher, fetchDispatcher);
    }
  };
}
__name(wrapExportedHandler, "wrapExportedHandler");
function wrapWorkerEntrypoint(klass) {
  if (__INTERNAL_WRANGLER_MIDDLEWARE__ === void 0 || __INTERNAL_WRANGLER_MIDDLEWARE__.length === 0) {
    return klass;
  }
  for (const middleware of __INTERNAL_WRANGLER_MIDDLEWARE__) {
    __facade_register__(middleware);
  }
  return class extends klass {
    #fetchDispatcher = /* @__PURE__ */ __name((request, env, ctx) => {
      this.env = env;
      this.ctx = ctx;
      if (super.fetch === void 0) {
        throw new Error("Entrypoint class does not define a fetch() function.");
      }
      return super.fetch(request);
    }, "#fetchDispatcher");
    #dispatcher = /* @__PURE__ */ __name((type, init) => {
      if (type === "scheduled" && super.scheduled !== void 0) {
        const controller = new __Facade_ScheduledController__(
          Date.now(),
          init.cron ?? "",
          () => {
          }
        );
        return super.scheduled(controller);
      }
    }, "#dispatcher");
    fetch(request) {
      return __facade_invoke__(
        request,
        this.env,
        this.ctx,
        this.#dispatcher,
        this.#fetchDispatcher
      );
    }
  };
}
__name(wrapWorkerEntrypoint, "wrapWorkerEntrypoint");
var WRAPPED_ENTRY;
if (typeof middleware_insertion_facade_default === "object") {
  WRAPPED_ENTRY = wrapExportedHandler(middleware_insertion_facade_default);
} else if (typeof middleware_insertion_facade_default === "function") {
  WRAPPED_ENTRY = wrapWorkerEntrypoint(middleware_insertion_facade_default);
}
var middleware_loader_entry_default = WRAPPED_ENTRY;
export {
  __INTERNAL_WRANGLER_MIDDLEWARE__,
  middleware_loader_entry_default as default
};
//# sourceMappingURL=main.js.map
