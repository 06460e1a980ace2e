# e3md_python_package_dir(NAME VAR): folder of the Python package NAME, found without importing it.
function(e3md_python_package_dir name var)
  if(NOT Python_Interpreter_FOUND)
    set(${var} "" PARENT_SCOPE)
    return()
  endif()
  execute_process(
    COMMAND ${Python_EXECUTABLE} -c
      "import importlib.util as u; s = u.find_spec('${name}'); print(s.submodule_search_locations[0] if s else '')"
    OUTPUT_VARIABLE dir OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
  set(${var} "${dir}" PARENT_SCOPE)
endfunction()
