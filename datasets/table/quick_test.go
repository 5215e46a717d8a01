package table
import ("testing";"time";"os")
func TestQuick(t *testing.T){
 for _,f:=range []string{"HarvardRT","Maastro"} {
 st:=time.Now()
 s:=Schema{Name:"x",Columns:[]Column{{Name:"id",Type:String,Nullable:true},{Name:"logit_0",Type:Float64}}}
 tb,err:=ReadCSV("/work/shared/data/hosny2018/"+f+".csv",s,CSVOptions{Nulls:[]string{"N/A","nan"},Undeclared:func(c Column)(Column,bool){
   if len(c.Name)>8&&c.Name[:8]=="general_"{return c,false}
   c.Type=Float64; return c,true}})
 if err!=nil{t.Fatal(err)}
 t.Log(tb.Rows(),len(tb.Schema().Columns),time.Since(st))
 for _,e:=range []string{".arrow",".parquet"}{
 st=time.Now(); if err:=tb.Write("/tmp/table/x/"+f+e);err!=nil{t.Fatal(err)}; t.Log("write",e,time.Since(st))
 st=time.Now(); g,err:=Read("/tmp/table/x/"+f+e,s,Keep); if err!=nil{t.Fatal(err)}; fi,_:=os.Stat("/tmp/table/x/"+f+e); t.Log("read",g.Rows(),len(g.schema.Columns),time.Since(st),fi.Size())}
 }
}
