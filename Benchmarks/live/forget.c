/* forget.block(size, forgotten): makes a block of bytes and drops it, or forgets one of its references. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

static PyObject *block(PyObject *self, PyObject *arguments)
{
	Py_ssize_t size;
	int forgotten;
	PyObject *bytes;

	(void)self;
	if (!PyArg_ParseTuple(arguments, "np", &size, &forgotten))
		return NULL;
	bytes = PyBytes_FromStringAndSize(NULL, size);
	if (!bytes)
		return NULL;
	if (forgotten)
		Py_INCREF(bytes);
	Py_DECREF(bytes);
	Py_RETURN_NONE;
}

static PyMethodDef methods[] = {{"block", block, METH_VARARGS, "makes a block"}, {0}};
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "forget", NULL, -1, methods, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit_forget(void)
{
	return PyModule_Create(&module);
}
